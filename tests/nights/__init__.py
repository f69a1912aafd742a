"""Whole nights: events, outages, orders and people as data, run by the stages' own code under a simulated clock.

    data/*.toml    the nights, for whoever runs an unattended desk to read and to add to
    night.py       what a night's file may say
    expected.py    the table that a night's file expects, and how a night differs from it
    tickets.py     the events of a night, like those of its charter's example day
    schedule.py    what happens next, by the clock: from one thing that is due to the next
    models.py      a model provider that is sometimes away
    systems.py     the connected systems, which are sometimes away
    telling.py     the routes of those who are told, and their channels, which are sometimes away
    people.py      those who approve, and those who give orders
    reoffers.py    the events that are offered again
    world.py       the stages on the simulator's log (`tests/simulator/process.py`), from evening to morning
    checks.py      what must hold of every night
    telling_checks.py  what must hold of how people are told
    random_nights.py   nights that a seed draws

`python -m tests.nights NIGHT` plays one and prints its table; `python -m tests.nights --random 1000` plays random ones.
"""
