FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
# What is installed is fixed to the byte: versions and hashes, nothing resolved here.
COPY config/deploy/requirements.txt config/deploy/build-requirements.txt config/deploy/
RUN python -m venv --without-pip /opt/regimes \
    && python -m venv /opt/tools \
    && /opt/tools/bin/python -m pip install --quiet --no-compile --require-hashes --no-deps \
        --only-binary :all: -r config/deploy/build-requirements.txt \
    && /opt/tools/bin/python -m pip --python /opt/regimes/bin/python install --quiet --no-compile --require-hashes \
        --no-deps --only-binary :all: -r config/deploy/requirements.txt
# Some libraries bring the symbols their makers debug with: 60 MB. What strips them stays in this stage.
# hadolint ignore=DL3008
RUN command -v strip >/dev/null || { apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*; }
COPY pyproject.toml hatch_build.py README.md CHANGELOG.md LICENSE ./
COPY config config
COPY static static
COPY regimes regimes
RUN PATH=/opt/tools/bin:$PATH /opt/tools/bin/python -m pip wheel --quiet --no-deps --no-build-isolation \
        --wheel-dir /build/wheel . \
    && /opt/tools/bin/python -m pip --python /opt/regimes/bin/python install --quiet --no-compile --no-deps --no-index \
        /build/wheel/*.whl \
    && /opt/regimes/bin/python config/deploy/slim.py \
    && cp config/deploy/healthcheck.py /opt/regimes/

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="regimes" \
      org.opencontainers.image.description="Tells you, in seconds, what regime the crypto market is in" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 regimes \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin regimes \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/regimes /opt/regimes
# Everything relative lies in the working folder: local.db, .regimes/, config/regimes.toml, .env.
ENV PATH=/opt/regimes/bin:$PATH \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REGIMES__WEB__HOST=0.0.0.0
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-I", "/opt/regimes/healthcheck.py"]
ENTRYPOINT ["regimes"]
CMD ["run"]
