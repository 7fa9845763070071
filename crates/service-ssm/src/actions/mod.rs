//! The list of actions: one file each.

use core_step::{Action, read_action, write_action};

mod create_activation;
mod delete_activation;
mod deregister_managed_instance;
mod describe_activations;
mod register_managed_instance;
mod request_managed_instance_role_token;
mod resume_session;

pub const ACTIONS: &[Action] = &[
    write_action::<create_activation::CreateActivation>(),
    write_action::<delete_activation::DeleteActivation>(),
    write_action::<deregister_managed_instance::DeregisterManagedInstance>(),
    read_action::<describe_activations::DescribeActivations>(),
    write_action::<register_managed_instance::RegisterManagedInstance>(),
    write_action::<request_managed_instance_role_token::RequestManagedInstanceRoleToken>(),
    read_action::<resume_session::ResumeSession>(),
];
