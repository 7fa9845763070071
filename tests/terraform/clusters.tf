# Clusters with all that the provider can say of them.
resource "aws_ecs_cluster" "plain" {
  name = "plain"

  # A tag of its own is put on it below.
  lifecycle {
    ignore_changes = [tags, tags_all]
  }
}

resource "aws_ecs_cluster" "full" {
  name = "full"

  setting {
    name  = "containerInsights"
    value = var.round == 1 ? "enabled" : "enhanced"
  }

  configuration {
    execute_command_configuration {
      kms_key_id = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
      logging    = "OVERRIDE"

      log_configuration {
        cloud_watch_encryption_enabled = true
        cloud_watch_log_group_name     = "/exec"
      }
    }
    managed_storage_configuration {
      fargate_ephemeral_storage_kms_key_id = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    }
  }

  service_connect_defaults {
    namespace = "arn:aws:servicediscovery:us-east-1:123456789012:namespace/ns-abcdefghijklmnop"
  }

  tags = {
    Name  = "full"
    Round = var.round
  }
}

resource "aws_ecs_capacity_provider" "group" {
  name = "group"

  auto_scaling_group_provider {
    auto_scaling_group_arn         = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:a1b2c3d4-5678-90ab-cdef-EXAMPLE11111:autoScalingGroupName/group"
    managed_termination_protection = "DISABLED"
    managed_draining               = "ENABLED"

    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = var.round == 1 ? 80 : 90
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 100
      instance_warmup_period    = 120
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "full" {
  cluster_name       = aws_ecs_cluster.full.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT", aws_ecs_capacity_provider.group.name]

  default_capacity_provider_strategy {
    base              = 1
    weight            = var.round == 1 ? 50 : 60
    capacity_provider = "FARGATE"
  }

  default_capacity_provider_strategy {
    weight            = 10
    capacity_provider = "FARGATE_SPOT"
  }
}

resource "aws_ecs_tag" "extra" {
  resource_arn = aws_ecs_cluster.plain.arn
  key          = "extra"
  value        = "round-${var.round}"
}

resource "aws_ecs_account_setting_default" "trunking" {
  name  = "awsvpcTrunking"
  value = "enabled"
}

resource "aws_ecs_account_setting_default" "insights" {
  name  = "containerInsights"
  value = var.round == 1 ? "enabled" : "disabled"
}

data "aws_ecs_cluster" "full" {
  cluster_name = aws_ecs_cluster.full.name
}

output "cluster_status" {
  value = data.aws_ecs_cluster.full.status
}
