# KAT Data with its workers: `kat`, and `celery -A workers worker`. compose.yaml runs it.
#
#   docker build --tag kat-data:local .
#   docker build --tag kat-data:local --build-arg EXTRAS=worker,litellm .
#
# BASE is a Debian whose Python is 3.11 or later; pin it by its digest: debian:bookworm-slim@sha256:…
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS system
# What programs of models need in bubblewrap, the system's own Python and g++ among it. Where BASE has all of it
# (stack/build_offline.sh), nothing is fetched.
ARG PACKAGES="bubblewrap g++ libseccomp2 python3 python3-venv"
RUN dpkg --status ${PACKAGES} >/dev/null 2>&1 || { apt-get update && \
    apt-get install --yes --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*; }

FROM system AS build
ARG EXTRAS=worker
# For builds behind a mirror, or from a folder of wheels in the context: pip reads these by itself.
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/kat && \
    /opt/kat/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[${EXTRAS}]" && \
    /opt/kat/bin/pip uninstall --yes pip setuptools

FROM system
COPY --from=build /opt/kat /opt/kat
RUN useradd --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin kat && \
    mkdir --parents /files && install --directory --owner=kat --group=kat /data
ENV PATH=/opt/kat/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    KAT_HOME=/data
USER 10001:10001
WORKDIR /data
CMD ["celery", "-A", "workers", "worker"]
