# Task definitions of every kind; the provider compares each member with what comes back.
locals {
  web = {
    name      = "web"
    image     = "nginx:${var.round}"
    cpu       = 10
    memory    = 128
    essential = true
    portMappings = [
      { containerPort = 80, hostPort = 0, protocol = "tcp" }
    ]
  }
}

resource "aws_ecs_task_definition" "smallest" {
  family = "smallest"
  container_definitions = jsonencode([
    { name = "a", image = "busybox", memory = 16 }
  ])
}

resource "aws_ecs_task_definition" "bridge" {
  family                   = "bridge"
  network_mode             = "bridge"
  requires_compatibilities = ["EC2"]
  ipc_mode                 = "none"
  pid_mode                 = "host"
  task_role_arn            = aws_iam_role.task.arn

  container_definitions = jsonencode([
    merge(local.web, {
      links       = ["side"]
      hostname    = "box"
      environment = [{ name = "B", value = "2" }, { name = "A", value = "1" }]
      mountPoints = [{ sourceVolume = "host", containerPath = "/host", readOnly = true }]
      volumesFrom = [{ sourceContainer = "side", readOnly = false }]
      ulimits     = [{ name = "nofile", softLimit = 1024, hardLimit = 4096 }]
      extraHosts  = [{ hostname = "db", ipAddress = "10.0.0.5" }]
      dockerLabels = {
        team = "blue"
      }
      linuxParameters = {
        initProcessEnabled = true
        sharedMemorySize   = 64
        maxSwap            = 100
        swappiness         = 60
        capabilities       = { add = ["NET_ADMIN"], drop = ["MKNOD"] }
        devices            = [{ hostPath = "/dev/fuse", containerPath = "/dev/fuse", permissions = ["read"] }]
        tmpfs              = [{ containerPath = "/tmp", size = 16, mountOptions = ["rw"] }]
      }
      logConfiguration = {
        logDriver = "json-file"
        options   = { "max-size" = "10m" }
      }
      privileged            = true
      user                  = "root"
      dnsServers            = ["10.0.0.2"]
      dnsSearchDomains      = ["example.com"]
      dockerSecurityOptions = ["no-new-privileges"]
      systemControls        = [{ namespace = "net.core.somaxconn", value = "1024" }]
      resourceRequirements  = [{ type = "GPU", value = "1" }]
    }),
    { name = "side", image = "busybox", memoryReservation = 16, essential = false }
  ])

  volume {
    name      = "host"
    host_path = "/srv"
  }

  volume {
    name = "docker"
    docker_volume_configuration {
      scope         = "shared"
      autoprovision = true
      driver        = "local"
      driver_opts   = { type = "tmpfs" }
      labels        = { a = "b" }
    }
  }

  placement_constraints {
    type       = "memberOf"
    expression = "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]"
  }

  tags = {
    Round = var.round
  }
}

resource "aws_ecs_task_definition" "fargate" {
  family                   = "fargate"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = 512
  memory                   = 1024
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  skip_destroy             = false
  enable_fault_injection   = false

  container_definitions = jsonencode([
    {
      name              = "app"
      image             = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:${var.round}"
      cpu               = 256
      memory            = 512
      memoryReservation = 256
      essential         = true
      command           = ["serve", "--port", "8080"]
      entryPoint        = ["/entry"]
      workingDirectory  = "/srv"
      portMappings = [
        { containerPort = 8080, protocol = "tcp", name = "http", appProtocol = "http2" }
      ]
      secrets = [
        { name = "TOKEN", valueFrom = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf" },
        { name = "NAME", valueFrom = "/a/parameter" }
      ]
      environmentFiles = [{ value = "arn:aws:s3:::bucket/a.env", type = "s3" }]
      healthCheck = {
        command     = ["CMD-SHELL", "true"]
        interval    = 15
        retries     = 2
        startPeriod = 5
        timeout     = 3
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = "/app"
          awslogs-region        = "us-east-1"
          awslogs-stream-prefix = "app"
        }
        secretOptions = []
      }
      dependsOn              = [{ containerName = "envoy", condition = "START" }]
      readonlyRootFilesystem = true
      startTimeout           = 30
      stopTimeout            = 60
      mountPoints            = [{ sourceVolume = "efs", containerPath = "/efs" }]
      restartPolicy          = { enabled = true, ignoredExitCodes = [3], restartAttemptPeriod = 60 }
    },
    { name = "envoy", image = "envoy:1", essential = true, user = "1337" },
  ])

  ephemeral_storage {
    size_in_gib = 40
  }

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  proxy_configuration {
    type           = "APPMESH"
    container_name = "envoy"
    properties = {
      AppPorts         = "8080"
      EgressIgnoredIPs = "169.254.170.2,169.254.169.254"
      IgnoredUID       = "1337"
      ProxyEgressPort  = "15001"
      ProxyIngressPort = "15000"
    }
  }

  volume {
    name = "efs"
    efs_volume_configuration {
      file_system_id          = "fs-12345678"
      root_directory          = "/"
      transit_encryption      = "ENABLED"
      transit_encryption_port = 2999
      authorization_config {
        access_point_id = "fsap-12345678"
        iam             = "ENABLED"
      }
    }
  }

  volume {
    name = "scratch"
  }
}

resource "aws_ecs_task_definition" "host" {
  family       = "host"
  network_mode = "host"
  cpu          = "256"
  memory       = "256"
  container_definitions = jsonencode([
    { name = "a", image = "busybox", portMappings = [{ containerPort = 9000, hostPort = 9000 }] }
  ])

  volume {
    name                = "later"
    configure_at_launch = true
  }
}

data "aws_ecs_task_definition" "latest" {
  task_definition = aws_ecs_task_definition.bridge.family
  depends_on      = [aws_ecs_task_definition.bridge]
}

output "revision" {
  value = data.aws_ecs_task_definition.latest.revision
}
