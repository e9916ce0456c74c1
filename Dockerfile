# The worker in a container. docker-compose.yml runs it; .ci/container checks what can be checked without Docker.

# One base for both stages: what is installed for this Python runs on this Python. The digest names the index of all
# platforms (of October 2026: Python 3.13.16 on Debian 13), so the same line gives the same image until someone changes
# it. That keeps later fixes of Debian and Python out, too: renew it with each release, and when a hole in them becomes
# known, by the "Digest" that `docker buildx imagetools inspect python:3.13-slim` shows.
FROM python:3.13-slim@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS base


FROM base AS build
WORKDIR /src
COPY constraints constraints
# What comes from an index must be one of the files whose hashes are committed. Ready-made wheels only: a dependency
# that would have to be compiled stops the build and brings no compiler in. pip compiles what it installs to byte code.
RUN pip install --require-hashes --only-binary :all: --requirement constraints/build.txt \
    && python -m venv --without-pip /opt/notifier \
    && pip --python /opt/notifier/bin/python install --require-hashes --only-binary :all: \
        --requirement constraints/worker.txt
COPY pyproject.toml README.md LICENSE ./
COPY notifier notifier
COPY migrations migrations
# `check` stops the build where the wheel needs something that constraints/worker.txt lacks.
RUN python -m hatchling build --target wheel --directory /wheel \
    && pip --python /opt/notifier/bin/python install --no-index --no-deps /wheel/*.whl \
    && pip --python /opt/notifier/bin/python check


FROM base
COPY --from=build /opt/notifier /opt/notifier
ENV PATH=/opt/notifier/bin:$PATH
# The first start shows that the image can start at all. That all commands are loaded, and PostgreSQL's driver, leaves the byte
# code of the parts of Python that they use (the base image comes without): else each later start, so each health check,
# would compile them.
# /data belongs to the user below, and so does a new named volume that is mounted there.
RUN pip uninstall --yes --root-user-action ignore pip \
    && notifier schema > /dev/null \
    && python -c "import psycopg, notifier.store.sqlite.database; from notifier.cli import app; app.register([])" \
    && install --directory --owner 10001 --group 10001 /data

ENV NOTIFIER_CONFIG=/etc/notifier/watchlist.yaml \
    NOTIFIER_LISTEN=0.0.0.0:8080 \
    PYTHONDONTWRITEBYTECODE=1
# Probes, metrics and signed webhooks; without a token in the watchlist, nothing else. Nobody outside reaches it unless
# the port is published.
EXPOSE 8080
# A database whose path is relative, as the default is, lies on the volume too.
WORKDIR /data
# A number, so that whoever runs the image can see that it is not root. It needs no entry in /etc/passwd.
USER 10001:10001
# The worker leaves a sign of life at its start, then once a minute; three minutes without one is what --healthy calls
# dead, so a second look is enough. The start period is for the migration of a large database.
HEALTHCHECK --interval=60s --timeout=15s --retries=2 --start-period=120s \
    CMD ["notifier", "status", "--healthy"]
# As a list, without a shell between: SIGTERM reaches the worker, which ends within 10 seconds.
ENTRYPOINT ["notifier"]
CMD ["run"]
