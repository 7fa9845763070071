"""Builds the stock amazon-ecs-agent from a checkout of its sources: `build.py SOURCES OUT`.

Its dependencies are vendored, so nothing is fetched. Where the checkout lacks the EC2 client's largest file
(mirrors leave out files of many megabytes), that one file is stood in for: every EC2 answer is then an error,
and an agent in external mode asks EC2 nothing. The agent's own sources are built as they are.
"""

import re
import subprocess
import sys
from pathlib import Path

HEAD = """package ec2

import (
\t"context"
\t"errors"

\t"github.com/aws/smithy-go/middleware"
)
"""

ONE = """
type {name} struct{{}}

func (*{name}) ID() string {{ return "OperationDeserializer" }}

func (*{name}) HandleDeserialize(
\tcontext.Context, middleware.DeserializeInput, middleware.DeserializeHandler,
) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {{
\treturn out, metadata, errors.New("no answer of EC2 is understood in this build")
}}
"""


def main(sources: Path, out: Path) -> None:
    client = sources / "agent/vendor/github.com/aws/aws-sdk-go-v2/service/ec2"
    absent = client / "deserializers.go"
    if not absent.exists():
        used = set()
        for file in client.glob("*.go"):
            used |= set(re.findall(r"awsEc2query_deserializeOp\w+", file.read_text()))
        absent.write_text(HEAD + "".join(ONE.format(name=name) for name in sorted(used)))
    command = ["go", "build", "-mod=vendor", "-o", str(out.resolve()), "."]
    subprocess.run(command, cwd=sources / "agent", check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
