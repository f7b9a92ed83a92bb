#!/usr/bin/env python3
"""Puts files into a bucket, in parts where they are large, and asks for the size that arrived.

usage: s3.py URL BUCKET PART_MB FILE…      prints the bytes that the bucket holds of them
"""
import sys, warnings
from os.path import basename

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

warnings.simplefilter("ignore")
url, bucket, part, files = sys.argv[1], sys.argv[2], int(sys.argv[3]) << 20, sys.argv[4:]
s3 = boto3.client("s3", endpoint_url=url, verify=False, region_name="eu-west-1", aws_access_key_id="lab", aws_secret_access_key="lab",
                  config=Config(s3={"addressing_style": "path"}))
if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
held = 0
for path in files:
    s3.upload_file(path, bucket, basename(path), Config=TransferConfig(multipart_threshold=part, multipart_chunksize=part))
    held += s3.head_object(Bucket=bucket, Key=basename(path))["ContentLength"]
print(held)
