// What the pages need beside htmx: the chart, countdowns, and keys. No page depends on it to be read or to change something.
"use strict";

const COLOURS = {completed: "--good", escalated: "--info", "needs approval": "--warn", waiting: "--calm", refused: "--line", failed: "--bad", rejected: "--text"};

function colour(name) {
  // The computed colour of a variable that is a light-dark() pair.
  const probe = document.createElement("span");
  probe.style.color = `var(${COLOURS[name] || "--calm"})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function drawCharts() {
  for (const place of document.querySelectorAll(".chart[data-trend]")) {
    const trend = JSON.parse(place.dataset.trend);
    const names = Object.keys(trend.cases);
    // Stacked: each series is drawn on top of those after it.
    const stacked = [];
    let below = trend.started.map(() => 0);
    for (const name of names) {
      below = below.map((sum, place) => sum + trend.cases[name][place]);
      stacked.push(below);
    }
    const half = (trend.started[1] - trend.started[0]) / 2;
    const muted = getComputedStyle(document.querySelector("footer")).color;
    const line = {stroke: muted, grid: {stroke: "rgba(128,128,128,0.15)", width: 1}, ticks: {show: false}, font: "11px system-ui"};
    const bars = uPlot.paths.bars({size: [0.8, 40]});
    const series = names.map((name, place) => ({
      label: name, fill: colour(name), stroke: colour(name), width: 0, paths: bars, points: {show: false},
      value: (_, __, ___, index) => index === null ? "" : trend.cases[name][index],
    })).reverse();
    place.replaceChildren();
    new uPlot(
      {width: place.clientWidth, height: 190, tzDate: at => uPlot.tzDate(new Date(at * 1000), "UTC"), cursor: {drag: {x: false, y: false}},
        scales: {x: {range: (_, first, last) => [first - half, last + half]}, y: {range: (_, __, most) => [0, Math.max(most, 4)]}},
        axes: [{...line, values: [[86400, "{MM}-{DD}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1]]}, {...line, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000]}], series: [{value: "{MM}-{DD} {HH}:{mm}", label: "since"}, ...series]},
      [trend.started, ...stacked.reverse()], place);
  }
}

function left(until) {
  const seconds = Math.round((until - Date.now()) / 1000);
  if (seconds <= 0) return "expired";
  for (const [unit, size, smaller, part] of [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]])
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ${Math.floor(seconds % size / part)} ${smaller}`;
  return `${seconds} s`;
}

function countDown() {
  for (const place of document.querySelectorAll("[data-until]")) place.textContent = left(Date.parse(place.dataset.until));
}

function localTimes() {
  for (const place of document.querySelectorAll("time[title=UTC]")) place.title = `UTC; here ${new Date(place.dateTime).toLocaleString()}`;
}

function prepare() {
  drawCharts();
  countDown();
  localTimes();
  showViews();
}

function move(step) {
  const rows = [...document.querySelectorAll("table.rows tbody tr")];
  const here = rows.findIndex(row => row.classList.contains("here"));
  const next = rows[Math.min(Math.max(here + step, 0), rows.length - 1)];
  if (!next) return;
  rows[here]?.classList.remove("here");
  next.classList.add("here");
  next.querySelector("a")?.focus();
  next.scrollIntoView({block: "nearest"});
}

// Saved views: addresses with a name, kept by this browser for this console.
function savedViews(page) {
  try { return JSON.parse(localStorage.getItem(`views:${page}`)) || {}; } catch { return {}; }
}

function keepViews(page, views) {
  localStorage.setItem(`views:${page}`, JSON.stringify(views));
  showViews();
}

function viewChip(page, name, query) {
  const chip = document.createElement("a");
  chip.className = "chip";
  chip.href = `/${page}${query}`;
  chip.textContent = name;
  if (query === location.search) chip.setAttribute("aria-current", "true");
  const forget = document.createElement("button");
  forget.className = "forget";
  forget.textContent = "×";
  forget.setAttribute("aria-label", `Forget the view ${name}`);
  forget.addEventListener("click", () => { const views = savedViews(page); delete views[name]; keepViews(page, views); });
  return [chip, forget];
}

function showViews() {
  for (const place of document.querySelectorAll("[data-views]")) {
    const page = place.dataset.views;
    const chips = Object.entries(savedViews(page)).flatMap(([name, query]) => viewChip(page, name, query));
    place.replaceChildren(place.firstElementChild, ...chips, place.querySelector("[data-save-view]"));
    place.hidden = false;
  }
}

function saveView(button) {
  const page = button.closest("[data-views]").dataset.views;
  const name = (prompt("Name of this view") || "").trim().slice(0, 40);
  if (name) keepViews(page, {...savedViews(page), [name]: location.search});
}

let afterG = false;
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (afterG) {
    afterG = false;
    document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
  } else if (event.key === "g") afterG = true;
  else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "?") document.getElementById("keys")?.showModal();
  else if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("[data-search]");
    search ? search.focus() : location.assign("/cases");
  }
}

document.addEventListener("keydown", onKey);
document.addEventListener("DOMContentLoaded", prepare);
document.addEventListener("htmx:afterSettle", prepare);
addEventListener("resize", drawCharts);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("click", event => { if (event.target.matches("[data-save-view]")) saveView(event.target); });
document.addEventListener("change", event => {
  if (event.target.dataset.all !== undefined)
    for (const box of event.target.form.querySelectorAll(`input[name="${event.target.dataset.all}"]`)) box.checked = event.target.checked;
});
setInterval(countDown, 1000);
