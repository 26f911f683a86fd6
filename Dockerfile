# Two stages: the second holds a virtual environment and nothing that built it.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/exporter
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY exporter exporter
RUN /opt/exporter/bin/pip install --constraint constraints.txt .

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="datatrove-exporter" \
      org.opencontainers.image.description="Prometheus exporter for datatrove: progress of data pipeline jobs from their logging folders" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/exporter /opt/exporter
ENV PATH=/opt/exporter/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 10170
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-m", "exporter.commands.healthcheck"]
ENTRYPOINT ["datatrove-exporter"]
CMD ["serve", "--config.file=/etc/datatrove-exporter/config.yaml"]
