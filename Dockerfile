# The worker: no compiler, no pip of its own, not root. `.dockerignore` names what goes in.
FROM python:3.11-bookworm AS build
# On arm64 `faust-streaming`: it has no wheel there.
ARG FROM_SOURCE=:none:
COPY requirements.lock requirements-build.lock /
# From the locks with their hashes: the same packages today and in a year.
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --quiet --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: --no-binary="$FROM_SOURCE" -r /requirements.lock \
 && python -m venv --without-pip /cython \
 && pip --python /cython/bin/python install --quiet --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: -r /requirements-build.lock
WORKDIR /app
COPY . .
# Byte code too, which the worker cannot write; by hash, so that two builds have the same files.
RUN /cython/bin/cythonize -q -i models/_whole_events.pyx source/records/_scan.pyx \
 && rm -rf build models/*.c source/records/*.c && chmod -R a+rX . \
 && /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv /app

FROM python:3.11-slim-bookworm
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 6066
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "web.probe", "/health/"]
CMD ["faust", "-A", "app", "worker", "-l", "info"]
