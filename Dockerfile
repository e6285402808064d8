# The proxy in a container, on the host's own network: address translation would come between phones and media.
#
#   docker build -t haproxy_voip .
#   docker run --network host -v ./config:/etc/haproxy_voip:ro haproxy_voip
#
# docker kill -s HUP reads the configuration again; docker stop is SIGTERM: calls have proxy.stop_after to end. compose.yaml has a whole cluster to try.
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /source
COPY pyproject.toml README.md ./
COPY haproxy_voip haproxy_voip
RUN python3 -m venv /opt/haproxy_voip && /opt/haproxy_voip/bin/pip install --no-cache-dir .

FROM ${PYTHON}
# A number, so that a volume can be given to it from outside. The control socket is in /run by default.
RUN groupadd --system --gid 506 haproxy_voip \
    && useradd --system --uid 506 --gid haproxy_voip --home-dir /var/lib/haproxy_voip --create-home haproxy_voip \
    && install -d -o haproxy_voip -g haproxy_voip /etc/haproxy_voip /var/log/haproxy_voip \
    && chown haproxy_voip /run
COPY --from=build /opt/haproxy_voip /opt/haproxy_voip
ENV PATH=/opt/haproxy_voip/bin:$PATH PYTHONUNBUFFERED=1
USER haproxy_voip
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["haproxy-voip", "status", "-c", "/etc/haproxy_voip/haproxy_voip.yaml"]
ENTRYPOINT ["haproxy-voip"]
CMD ["run", "-c", "/etc/haproxy_voip/haproxy_voip.yaml"]
