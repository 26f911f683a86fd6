# Two stages: the second holds a virtual environment and nothing that built it.
# Another base, from a registry of your own say, needs Python 3.11 or newer and nothing else.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# What it can read beside local folders and S3; less makes a smaller image.
ARG EXTRAS=azure,gcs,hdfs,hf,sftp
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/exporter
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY exporter exporter
# Compiled files that name their sources by content, not by time, are the same in every build.
RUN /opt/pip/bin/pip --python /opt/exporter/bin/python install --no-compile \
    --constraint constraints.txt ".${EXTRAS:+[$EXTRAS]}" && \
    /opt/exporter/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/exporter/lib

FROM ${BASE}
ARG REVISION=
LABEL org.opencontainers.image.title="datatrove-exporter" \
      org.opencontainers.image.description="Prometheus exporter for datatrove: progress of data pipeline jobs from their logging folders" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/datatrove-exporter/datatrove-exporter" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed here any more.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/ensurepip \
    /usr/local/lib/python3.*/site-packages/pip*
COPY --from=build /opt/exporter /opt/exporter
ENV PATH=/opt/exporter/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 10170
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-m", "exporter.commands.healthcheck"]
ENTRYPOINT ["datatrove-exporter"]
CMD ["serve", "--config.file=/etc/datatrove-exporter/config.yaml"]
