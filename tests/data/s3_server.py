"""An S3 on this machine: moto's server."""

import logging
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer


class LocalS3(logging.Handler):
    """Serves an empty store on 127.0.0.1 until it is closed; credentials come from the environment.

    Attributes:
        address: of the server.
        requests: lines such as `"GET /bucket/key HTTP/1.1" 200 -`, of all that came; may be cleared.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.requests: list[str] = []
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=True)
        log = logging.getLogger("werkzeug")
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addHandler(self)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        urlopen(Request(f"{self.address}/moto-api/reset", method="POST")).close()  # a process has one store

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps what the server says of a request."""
        message = record.getMessage()
        if '"' in message:
            self.requests.append(message[message.index('"') :])

    def create(self, bucket: str) -> None:
        """Makes an empty bucket."""
        place = {"LocationConstraint": self._client.meta.region_name}
        self._client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)

    def sizes(self, bucket: str) -> dict[str, int]:
        """Bytes of every object, by key."""
        listed = self._client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {entry["Key"]: entry["Size"] for entry in listed}

    def close(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.stop()
            logging.getLogger("werkzeug").removeHandler(self)
        self._server = None
        super().close()

    @property
    def _client(self):
        return boto3.client("s3", endpoint_url=self.address, config=Config(s3={"addressing_style": "path"}))
