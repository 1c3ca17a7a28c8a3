"""A source of what destination-s3 wrote as JSON lines, by the manifests, for `--read-back`.

Usage: s3_source.py spec|check|discover|read [--config FILE] [--catalog FILE]
"""

import json
import sys

import boto3

command, *rest = sys.argv[1:]
options = dict(zip(rest[::2], rest[1::2]))


def say(kind, **members):
    print(json.dumps({"type": kind, **members}), flush=True)


def status(descriptor, word):
    trace = {"stream_descriptor": descriptor, "status": word}
    say("TRACE", trace={"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": trace})


def get(key):
    return s3.get_object(Bucket=config["bucket"], Key=key)["Body"].read()


def manifests():
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=config["bucket"]):
        for item in page.get("Contents", []):
            if item["Key"].endswith("/_manifest.json"):
                yield json.loads(get(item["Key"]))


if command == "spec":
    say("SPEC", spec={"connectionSpecification": {"type": "object", "properties": {}}})
    sys.exit()
with open(options["--config"]) as file:
    config = json.load(file)
s3 = boto3.client(
    "s3",
    endpoint_url=config["endpoint"],
    region_name=config["region"],
    aws_access_key_id=config["access_key_id"],
    aws_secret_access_key=config["secret_access_key"],
)
if command == "check":
    say("CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
elif command == "discover":
    streams = [
        {
            "name": each["name"],
            "namespace": each["namespace"],
            "json_schema": {"type": "object", "properties": {}},
            "supported_sync_modes": ["full_refresh"],
        }
        for each in manifests()
    ]
    say("CATALOG", catalog={"streams": streams})
elif command == "read":
    with open(options["--catalog"]) as file:
        wanted = [configured["stream"] for configured in json.load(file)["streams"]]
    for stream in wanted:
        name, namespace = stream["name"], stream.get("namespace")
        descriptor = {"name": name, "namespace": namespace}
        status(descriptor, "STARTED")
        (manifest,) = (m for m in manifests() if (m["name"], m["namespace"]) == (name, namespace))
        start = json.dumps({"stream": name, "namespace": namespace, "emitted_at": 1})[:-1]
        for entry in manifest["objects"]:
            for row in get(entry["key"]).decode().split("\n")[:-1]:
                # As it is: a number must keep its digits.
                print(f'{{"type":"RECORD","record":{start},"data":{row}}}}}')
        status(descriptor, "COMPLETE")
