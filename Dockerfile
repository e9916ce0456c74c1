# The worker in a container. docker-compose.yml runs it; .ci/container checks what can be checked without Docker.

# One base for both stages: what is installed for this Python runs on this Python.
FROM python:3.13-slim AS base


FROM base AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY notifier notifier
COPY migrations migrations
RUN pip install --constraint constraints.txt hatchling \
    && python -m hatchling build --target wheel --directory /wheel
# Ready-made wheels only: a dependency that would have to be compiled stops the build and brings no compiler in. pip
# compiles what it installs to byte code.
RUN python -m venv --without-pip /opt/notifier \
    && pip --python /opt/notifier/bin/python install --only-binary :all: --constraint constraints.txt /wheel/*.whl


FROM base
COPY --from=build /opt/notifier /opt/notifier
ENV PATH=/opt/notifier/bin:$PATH
# The first start shows that the image can start at all, and leaves the byte code of the parts of Python that the
# notifier uses (the base image comes without): each later start, so each health check, takes a third less time.
# /data belongs to the user below, and so does a new named volume that is mounted there.
RUN pip uninstall --yes --root-user-action ignore pip \
    && notifier schema > /dev/null \
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
