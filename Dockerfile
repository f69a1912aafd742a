# syntax=docker/dockerfile:1
# One image for every process: the command says which (`worker decide`, `sink`, `topics apply`, ...).
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/nightdesk
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The dependencies change seldom, the source often: two layers.
COPY requirements/core.txt requirements/core.txt
# Wheels only: what would need a compiler fails here, and not in the final image.
RUN pip --python /opt/nightdesk/bin/python install --require-hashes --only-binary=:all: -r requirements/core.txt
COPY . .
RUN pip --python /opt/nightdesk/bin/python install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# A number, so that Kubernetes can see that it is not root; a name, for libraries that ask who they are.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nightdesk
COPY --from=build /opt/nightdesk /opt/nightdesk
# The root file system may be read-only: only /tmp is written. Faust makes its data directory where it stands.
WORKDIR /tmp
ENV PATH=/opt/nightdesk/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NIGHTDESK_HOME=/tmp/nightdesk
USER 10001:10001
ENTRYPOINT ["nightdesk"]
CMD ["--help"]
