# The service without the demo. Built in one stage, run in another that has neither compiler nor source.
FROM rust:1-slim-bookworm AS builder
# gcc is in the image; OpenSSL is compiled along, which takes perl and make.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make perl pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The repository's own CFLAGS are for a short build.
ENV CFLAGS="-O3"
RUN cargo build --locked --profile dist --no-default-features --features vendored-openssl \
 && target/dist/neverdark --version

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir /data \
 && chown 65532:65532 /data
COPY --from=builder /build/target/dist/neverdark /usr/local/bin/neverdark
USER 65532:65532
WORKDIR /data
VOLUME /data
# The OpenSSL in the program was not built for Debian: it is told where Debian keeps its certificates.
ENV NEVERDARK__STORE__URL="sqlite:///data/neverdark.db" \
    NEVERDARK__STATUS__LISTEN="0.0.0.0:9464" \
    SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt"
EXPOSE 9464
STOPSIGNAL SIGTERM
# The slim image has no curl; bash can open a socket by itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9464; printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["neverdark"]
CMD ["run"]
