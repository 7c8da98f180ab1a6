# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
# "plain" builds once instead of twice, as under emulation, where nothing can be learned; see docs/performance.md.
ARG BUILD=optimised
ARG TARGETARCH
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && rustup component add llvm-tools
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked,id=gsgate-target-$TARGETARCH \
    --mount=type=cache,target=/src/benches/compare/target,sharing=locked,id=gsgate-compare-$TARGETARCH \
    if [ "$BUILD" = plain ]; \
    then cargo build --release --locked --bin gsgate && cp target/release/gsgate /gsgate; \
    else benches/optimise && cp target/optimised/gsgate /gsgate; \
    fi

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 65532 --no-create-home --shell /usr/sbin/nologin gsgate
COPY --from=build /gsgate /usr/local/bin/gsgate
USER 65532:65532
# PORT makes gsgate listen on 0.0.0.0:$PORT, whatever server.listen in the file says; GSGATE_SERVER__LISTEN wins over it.
ENV PORT=8080 GSGATE_CONFIG=/etc/gsgate/gsgate.toml
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["gsgate", "health"]
ENTRYPOINT ["gsgate"]
CMD ["serve"]
