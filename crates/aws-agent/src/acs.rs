//! ACS, the agent communication service: the control plane pushes work over a websocket that the agent
//! dialled, and the agent acknowledges.

use crate::frame::{MAX_FROM_AGENT, MAX_FROM_PLANE, frames};
use crate::shape::shape;
use crate::task::{Attachment, ElasticNetworkInterface, RoleCredentials, Task};

/// `roleType` of credentials that the containers get.
pub const TASK_APPLICATION: &str = "TaskApplication";
/// `roleType` of credentials that the agent itself uses for the task: pulls, secrets, logs.
pub const TASK_EXECUTION: &str = "TaskExecution";

frames! {
    /// What the plane tells an agent.
    FromPlane, limit MAX_FROM_PLANE;
    Heartbeat(Heartbeat) = "HeartbeatMessage",
    Payload(Payload) = "PayloadMessage",
    RoleCredentials(RoleCredentialsMessage) = "IAMRoleCredentialsMessage",
    Manifest(Manifest) = "TaskManifestMessage",
    StopVerificationAck(StopVerificationAck) = "TaskStopVerificationAck",
    AttachTaskInterfaces(AttachTaskInterfaces) = "AttachTaskNetworkInterfacesMessage",
    AttachInstanceInterfaces(AttachInstanceInterfaces) = "AttachInstanceNetworkInterfacesMessage",
    ConfirmAttachment(ConfirmAttachment) = "ConfirmAttachmentMessage",
    StageUpdate(StageUpdate) = "StageUpdateMessage",
    PerformUpdate(PerformUpdate) = "PerformUpdateMessage",
    Close(CloseMessage) = "CloseMessage",
    Error(ErrorMessage) = "ErrorMessage",
    InactiveInstance(InactiveInstance) = "InactiveInstanceException",
    InvalidInstance(InvalidInstance) = "InvalidInstanceException",
    InvalidCluster(InvalidCluster) = "InvalidClusterException",
    AccessDenied(AccessDenied) = "AccessDeniedException",
    BadRequest(BadRequest) = "BadRequestException",
    Server(ServerException) = "ServerException",
    /// Wharf's own: open the host's side of an ExecuteCommand session. A stock agent does not know the
    /// type and ignores it; AWS goes through its SSM agent here.
    Exec(Exec) = "WharfExecMessage",
}

frames! {
    /// What an agent tells the plane.
    FromAgent, limit MAX_FROM_AGENT;
    HeartbeatAck(HeartbeatAck) = "HeartbeatAckRequest",
    Ack(Ack) = "AckRequest",
    Nack(Nack) = "NackRequest",
    RoleCredentialsAck(RoleCredentialsAck) = "IAMRoleCredentialsAckRequest",
    StopVerification(StopVerification) = "TaskStopVerificationMessage",
}

shape! {
    /// Sent at least every 45 s: AWS's agent closes a socket that was silent for 1 to 2 minutes.
    Heartbeat "camelCase" { message_id: String, healthy: bool }

    HeartbeatAck "camelCase" { message_id: String }

    /// AWS: the agent takes none of it without the message's id, the cluster's and the instance's ARN.
    Payload "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        /// Milliseconds since 1970.
        generated_at: i64,
        /// Shares one rising counter with a manifest's timeline, and is kept in the agent's checkpoint.
        seq_num: i64,
        timeline: Option<i64>,
        tasks: Vec<Task>,
    }

    Ack "camelCase" { cluster: String, container_instance: String, message_id: String }

    Nack "camelCase" {
        cluster: String,
        container_instance: String,
        message_id: String,
        reason: String,
    }

    /// New credentials for a task's role. The credentials' id stays, so that the containers' URL does.
    RoleCredentialsMessage "camelCase" {
        message_id: String,
        task_arn: String,
        task_cluster_arn: String,
        /// [`TASK_APPLICATION`] or [`TASK_EXECUTION`].
        role_type: String,
        role_credentials: Option<RoleCredentials>,
    }

    RoleCredentialsAck "camelCase" {
        message_id: String,
        credentials_id: String,
        expiration: String,
    }

    /// All tasks that the instance should have. AWS: dropped in silence unless its timeline is above the
    /// last sequence number that the agent has seen.
    Manifest "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        generated_at: i64,
        timeline: i64,
        tasks: Vec<TaskIdentifier>,
    }

    TaskIdentifier "camelCase" {
        task_arn: String,
        task_cluster_arn: String,
        desired_status: String,
    }

    /// The agent asks whether tasks that it runs, and the manifest does not have, shall really stop.
    StopVerification "camelCase" { message_id: String, stop_candidates: Vec<TaskIdentifier> }

    /// `message_id` is the manifest's. The agent stops these tasks at once.
    StopVerificationAck "camelCase" {
        message_id: String,
        generated_at: i64,
        stop_tasks: Vec<TaskIdentifier>,
    }

    AttachTaskInterfaces "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        task_arn: String,
        task_cluster_arn: String,
        generated_at: i64,
        /// Above zero, or the agent takes none of it.
        wait_timeout_ms: i64,
        elastic_network_interfaces: Vec<ElasticNetworkInterface>,
    }

    AttachInstanceInterfaces "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        generated_at: i64,
        wait_timeout_ms: i64,
        elastic_network_interfaces: Vec<ElasticNetworkInterface>,
    }

    ConfirmAttachment "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        task_arn: String,
        task_cluster_arn: String,
        generated_at: i64,
        wait_timeout_ms: Option<i64>,
        attachment: Option<Attachment>,
    }

    UpdateInfo "camelCase" {
        location: String,
        /// The archive's SHA-256.
        signature: String,
    }

    StageUpdate "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        update_info: Option<UpdateInfo>,
    }

    PerformUpdate "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        update_info: Option<UpdateInfo>,
    }

    CloseMessage "camelCase" { message: String }
    ErrorMessage "camelCase" { message: String }

    /// The instance was deregistered. AWS: the agent stops its telemetry and asks again after an hour.
    InactiveInstance "camelCase" { message: String }
    InvalidInstance "camelCase" { message: String }
    InvalidCluster "camelCase" { message: String }
    AccessDenied "camelCase" { message: String }
    BadRequest "camelCase" { message: String }
    ServerException "camelCase" { message: String }

    /// Wharf's own: run a command in a container and carry its streams. The host answers with an `Ack`
    /// and dials `path` on the server of this socket, signed with its own credentials as this socket was;
    /// what then travels is the data channel, the host's end of it.
    Exec "camelCase" {
        message_id: String,
        cluster_arn: String,
        container_instance_arn: String,
        task_arn: String,
        container_name: String,
        session_id: String,
        command: String,
        interactive: bool,
        path: String,
        /// Milliseconds since 1970; a session that was not opened by then is not opened at all.
        expires_at: i64,
    }
}
