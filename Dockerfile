# yunqiao with the Node.js that runs the functions. The project is mounted at /project, what is kept lies in /data:
#
#   docker build -t yunqiao .
#   docker run --init -p 8787:8787 -v "$PWD:/project:ro" -v yunqiao:/data yunqiao
#
# Inside a container `listen` in yunqiao.toml is "0.0.0.0:8787", and `store` lies in /data (packaging/README.md).

FROM rust:1.90-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p yunqiao-cli && strip target/release/yunqiao

FROM node:22-bookworm-slim
COPY --from=build /source/target/release/yunqiao /usr/local/bin/yunqiao
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/yunqiao/
# Dependencies of functions are installed into the cache.
ENV NODE_ENV=production YUNQIAO_CACHE=/data/cache
RUN mkdir -p /data /project && chown node:node /data
# node
USER 1000:1000
WORKDIR /project
VOLUME /data
EXPOSE 8786 8787 8789
HEALTHCHECK --interval=10s --timeout=3s --start-period=180s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8787/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["yunqiao"]
CMD ["serve", "-c", "/project/yunqiao.toml"]
