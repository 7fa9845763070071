# Everything that the suite applies goes to one local endpoint; credentials come from the environment.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "endpoint" {
  type = string
}

# What the second apply changes.
variable "round" {
  type    = number
  default = 1
}

provider "aws" {
  region      = "us-east-1"
  max_retries = 1

  endpoints {
    ecs = var.endpoint
    iam = var.endpoint
    sts = var.endpoint
  }

  default_tags {
    tags = {
      Project = "harbour"
    }
  }
}

data "aws_caller_identity" "me" {}

output "account" {
  value = data.aws_caller_identity.me.account_id
}
