"""An S3 on loopback that forgets: makes the bucket `reports`, says its port, and for each key that it is asked for on
standard input what is stored there, as a line of JSON.
"""

import json
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
client = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="podfit",
    aws_secret_access_key="podfit",
)
client.create_bucket(Bucket="reports")
print(port, flush=True)
for key in sys.stdin:
    found = client.get_object(Bucket="reports", Key=key.strip())
    body = found["Body"].read().decode()
    print(json.dumps({"type": found["ContentType"], "body": body}), flush=True)
