# The image holds one static binary and runs it without privileges.
FROM golang:1.26 AS build
WORKDIR /src
# Modules in a layer of their own: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /walbridge ./cmd/walbridge

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /walbridge /walbridge
COPY LICENSE /LICENSE
USER 65532:65532
ENTRYPOINT ["/walbridge"]
CMD ["run", "-c", "/etc/walbridge/walbridge.yaml"]
