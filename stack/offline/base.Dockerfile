# The base of the offline images: the sandbox's image (one debootstrap for all), and what Dockerfile's PACKAGES adds.
FROM kat-data-sandbox:1
# The sandbox's image is without debconf's Perl.
RUN apt-get update && apt-get install --yes --reinstall debconf && \
    apt-get install --yes --no-install-recommends bubblewrap libseccomp2 python3-venv && rm -rf /var/lib/apt/lists/*
