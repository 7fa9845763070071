# Identity: people, roles and what they may do.
data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.me.account_id]
    }
  }
}

data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com", "ecs.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "some" {
  statement {
    sid       = "Round${var.round}"
    actions   = ["ecs:Describe*", "ecs:List*"]
    resources = ["*"]
  }
  statement {
    effect        = "Deny"
    not_actions   = ["iam:*", "ecs:*"]
    not_resources = ["arn:aws:s3:::bucket/*"]
    condition {
      test     = "NotIpAddress"
      variable = "aws:SourceIp"
      values   = ["10.0.0.0/8", "192.168.0.0/16"]
    }
  }
}

data "aws_iam_policy" "execution" {
  name = "AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role" "task" {
  name                 = "task"
  path                 = "/tasks/"
  description          = "What tasks may do, round ${var.round}"
  assume_role_policy   = data.aws_iam_policy_document.tasks.json
  max_session_duration = 7200
  permissions_boundary = aws_iam_policy.some.arn
  tags = {
    Round = var.round
  }
}

resource "aws_iam_role" "execution" {
  name               = "execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = data.aws_iam_policy.execution.arn
}

resource "aws_iam_role" "instance" {
  name               = "ecsInstanceRole"
  assume_role_policy = data.aws_iam_policy_document.ec2.json
}

resource "aws_iam_role_policy_attachment" "instance" {
  for_each = toset([
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
    "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
  ])
  role       = aws_iam_role.instance.name
  policy_arn = each.value
}

resource "aws_iam_instance_profile" "instance" {
  name = "ecsInstanceRole"
  role = aws_iam_role.instance.name
  tags = {
    Round = var.round
  }
}

resource "aws_iam_role_policy" "inline" {
  name   = "inline"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.some.json
}

resource "aws_iam_policy" "some" {
  name        = "some"
  path        = "/p/"
  description = "Some"
  policy      = data.aws_iam_policy_document.some.json
  tags = {
    Round = var.round
  }
}

resource "aws_iam_user" "bob" {
  name          = var.round == 1 ? "bob" : "robert"
  path          = "/people/"
  force_destroy = true
  tags = {
    Name = "Bob"
  }
}

resource "aws_iam_user_policy" "inline" {
  name   = "inline"
  user   = aws_iam_user.bob.name
  policy = data.aws_iam_policy_document.some.json
}

resource "aws_iam_user_policy_attachment" "bob" {
  user       = aws_iam_user.bob.name
  policy_arn = aws_iam_policy.some.arn
}

resource "aws_iam_access_key" "bob" {
  user   = aws_iam_user.bob.name
  status = var.round == 1 ? "Active" : "Inactive"
}

resource "aws_iam_user_login_profile" "bob" {
  user                    = aws_iam_user.bob.name
  password_length         = 20
  password_reset_required = true
}

resource "aws_iam_group" "admins" {
  name = "admins"
  path = "/g/"
}

resource "aws_iam_group_policy" "inline" {
  name   = "inline"
  group  = aws_iam_group.admins.name
  policy = data.aws_iam_policy_document.some.json
}

resource "aws_iam_group_policy_attachment" "admins" {
  group      = aws_iam_group.admins.name
  policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"
}

resource "aws_iam_group_membership" "admins" {
  name  = "admins"
  group = aws_iam_group.admins.name
  users = [aws_iam_user.bob.name]
}

resource "aws_iam_account_alias" "alias" {
  account_alias = "our-harbour"
}

resource "aws_iam_account_password_policy" "strict" {
  minimum_password_length        = 10 + var.round
  require_lowercase_characters   = true
  require_numbers                = true
  require_uppercase_characters   = true
  require_symbols                = true
  allow_users_to_change_password = true
  max_password_age               = 90
  password_reuse_prevention      = 5
}

resource "aws_iam_service_linked_role" "ecs" {
  aws_service_name = "ecs.amazonaws.com"
}

data "aws_iam_role" "task" {
  name       = aws_iam_role.task.name
  depends_on = [aws_iam_role_policy.inline]
}

data "aws_iam_session_context" "me" {
  arn = data.aws_caller_identity.me.arn
}

output "task_role" {
  value = data.aws_iam_role.task.arn
}
