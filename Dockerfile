# The worker: no compiler, no shell tools, not root. `.dockerignore` names what goes in.
FROM python:3.11-bookworm AS build
COPY requirements.lock /
# From the lock with its hashes: the same packages today and in a year.
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r /requirements.lock
COPY requirements-build.lock /
COPY models /models
COPY source /source
RUN python -m venv /cython && /cython/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r /requirements-build.lock && /cython/bin/cythonize -q -i /models/_whole_events.pyx /source/records/_scan.pyx

FROM python:3.11-slim-bookworm
COPY --from=build /venv /venv
COPY . /app
COPY --from=build /models/*.so /app/models/
COPY --from=build /source/records/*.so /app/source/records/
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 6066
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "web.probe", "/health/"]
CMD ["faust", "-A", "app", "worker", "-l", "info"]
