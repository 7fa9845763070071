//! Virtual MFA devices: create, enable, resync, deactivate, delete, get and list.

use aws_protocol::Blob;

use crate::actions::prelude::*;
use crate::rows::access_key::Owner;
use crate::rows::mfa_device::{DevicesOf, MfaDevice};
use crate::rows::user::User;
use crate::rules::{keys, mfa, qr_code};

/// AWS: devices a user may have.
const QUOTA: usize = 8;

fn serial(call: &Call, path: Option<&str>, name: &str) -> String {
    names::arn(call.account(), "mfa", path.unwrap_or("/"), name)
}

/// The owner that `EnableMFADevice` and the like name. The root user enables its own device under
/// its account's number.
fn owner(
    state: &core_state::State,
    call: &Call,
    given: Option<&str>,
) -> Result<(Owner, Option<String>), ApiError> {
    let root = call.caller.principal == core_step::Principal::Root;
    let given = given.filter(|name| !(root && *name == call.account().to_string()));
    keys::owner(state, call, given)
}

fn no_device(serial: &str) -> ApiError {
    let text = format!("MFA Device with serial number {serial} does not exist.");
    errors::no_such_entity_exception(text)
}

fn bad_codes() -> ApiError {
    errors::invalid_authentication_code_exception("Authentication code for device is not valid.")
}

const LONGEST_NAME: usize = 226;

pub struct CreateVirtualMFADevice;

impl WriteAction for CreateVirtualMFADevice {
    type Op = api::ops::CreateVirtualMFADevice;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let serial = serial(call, input.path.as_deref(), text(&input.virtual_mfa_device_name));
        let demand = Demand::on("iam:CreateVirtualMFADevice", serial);
        tags::demanded(demand, input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        // The model has no bound; a serial number is at most 256 characters, which IAM's quotas
        // make 226 of the name.
        if text(&input.virtual_mfa_device_name).len() > LONGEST_NAME {
            return Err(ApiError::validation(format!(
                "1 validation error detected: Value at 'virtualMFADeviceName' failed to satisfy \
                 constraint: Member must have length less than or equal to {LONGEST_NAME}"
            )));
        }
        let serial = serial(call, input.path.as_deref(), text(&input.virtual_mfa_device_name));
        let key: Key = (call.account(), serial.as_str().into());
        if tx.get::<MfaDevice>(&key).is_some() {
            return Err(errors::entity_already_exists_exception(
                "MFADevice entity at the same path and name already exists.",
            ));
        }
        let row = MfaDevice {
            account: call.account(),
            serial: key.1,
            seed: mfa::seed(tx.dice).into(),
            user: None,
            enabled_at: None,
            tags: tags::parse(input.tags.as_deref())?,
        };
        // AWS: the text that authenticators scan, with the device's and the account's name.
        let name = text(&input.virtual_mfa_device_name);
        let uri = format!("otpauth://totp/{name}@{}?secret={}", call.account(), row.seed);
        let device = api::VirtualMFADevice {
            base32_string_seed: Some(Blob(row.seed.as_bytes().to_vec().into())),
            qr_code_png: Some(Blob(qr_code::png(&uri).into())),
            serial_number: Some(serial),
            tags: views::shown_tags(&row.tags),
            ..Default::default()
        };
        tx.put(row);
        Ok(api::CreateVirtualMFADeviceResponse { virtual_mfa_device: Some(device) })
    }
}

pub struct EnableMFADevice;

impl WriteAction for EnableMFADevice {
    type Op = api::ops::EnableMFADevice;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:EnableMFADevice", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (owner, _) = owner(tx, call, input.user_name.as_deref())?;
        let serial = text(&input.serial_number);
        let device = tx.get::<MfaDevice>(&(call.account(), serial.into()));
        let mut device = device.cloned().ok_or_else(|| no_device(serial))?;
        if device.user.is_some() {
            return Err(errors::entity_already_exists_exception("MFA Device is already in use."));
        }
        if tx.by::<DevicesOf>(&(call.account(), owner.name())).count() >= QUOTA {
            return Err(entities::exceeded("MFADevicesPerUser", QUOTA));
        }
        let (first, second) =
            (text(&input.authentication_code1), text(&input.authentication_code2));
        if !mfa::are_consecutive(&device.seed, tx.now(), first, second) {
            return Err(bad_codes());
        }
        device.user = Some(owner.name());
        device.enabled_at = Some(tx.now());
        tx.put(device);
        Ok(api::EnableMFADeviceResponse {})
    }
}

/// A device in use by this owner.
fn in_use(tx: &Tx<'_>, call: &Call, owner: &Owner, serial: &str) -> Result<MfaDevice, ApiError> {
    let device = tx.get::<MfaDevice>(&(call.account(), serial.into()));
    let device = device.filter(|device| device.user.as_ref() == Some(&owner.name()));
    device.cloned().ok_or_else(|| no_device(serial))
}

pub struct ResyncMFADevice;

impl WriteAction for ResyncMFADevice {
    type Op = api::ops::ResyncMFADevice;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:ResyncMFADevice", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (owner, _) = owner(tx, call, input.user_name.as_deref())?;
        let device = in_use(tx, call, &owner, text(&input.serial_number))?;
        let (first, second) =
            (text(&input.authentication_code1), text(&input.authentication_code2));
        // A virtual device has the phone's own clock, so right codes leave nothing to adjust.
        match mfa::are_consecutive(&device.seed, tx.now(), first, second) {
            true => Ok(api::ResyncMFADeviceResponse {}),
            false => Err(bad_codes()),
        }
    }
}

pub struct DeactivateMFADevice;

impl WriteAction for DeactivateMFADevice {
    type Op = api::ops::DeactivateMFADevice;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:DeactivateMFADevice", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (owner, _) = owner(tx, call, input.user_name.as_deref())?;
        let mut device = in_use(tx, call, &owner, text(&input.serial_number))?;
        device.user = None;
        device.enabled_at = None;
        tx.put(device);
        Ok(api::DeactivateMFADeviceResponse {})
    }
}

pub struct DeleteVirtualMFADevice;

impl WriteAction for DeleteVirtualMFADevice {
    type Op = api::ops::DeleteVirtualMFADevice;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        Demand::on("iam:DeleteVirtualMFADevice", text(&input.serial_number)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let serial = text(&input.serial_number);
        let device = mfa::find(tx, call.account(), serial)?;
        if device.user.is_some() {
            return Err(errors::delete_conflict_exception(
                "MFA VirtualDevice in use. Must deactivate first.",
            ));
        }
        tx.delete::<MfaDevice>(&(call.account(), serial.into()));
        Ok(api::DeleteVirtualMFADeviceResponse {})
    }
}

/// The name of a device's user; the root user has none.
fn user_of<'s>(view: &'s View<'_>, device: &MfaDevice) -> Option<&'s User> {
    view.get::<User>(&(device.account, device.user.clone()?))
}

pub struct GetMFADevice;

impl ReadAction for GetMFADevice {
    type Op = api::ops::GetMFADevice;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:GetMFADevice", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let serial = text(&input.serial_number);
        let device = view.get::<MfaDevice>(&(call.account(), serial.into()));
        let device = device.filter(|device| device.user.is_some());
        let device = device.ok_or_else(|| no_device(serial))?;
        let user = user_of(view, device);
        if let Some(name) = &input.user_name
            && user.is_none_or(|user| fold(&user.head.name) != fold(name))
        {
            return Err(no_device(serial));
        }
        Ok(api::GetMFADeviceResponse {
            certifications: None,
            enable_date: device.enabled_at.map(views::time),
            serial_number: Some(device.serial.to_string()),
            user_name: user.map(|user| user.head.name.to_string()),
        })
    }
}

pub struct ListMFADevices;

impl ReadAction for ListMFADevices {
    type Op = api::ops::ListMFADevices;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:ListMFADevices", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, user_name) = owner(view, call, name)?;
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListMFADevices", marker, max_items: input.max_items };
        let rows = view.by::<DevicesOf>(&(call.account(), owner.name()));
        let page = asked.page(rows, |device| device.serial.to_string())?;
        let page = page.map(|device| api::MFADevice {
            enable_date: device.enabled_at.map(views::time),
            serial_number: Some(device.serial.to_string()),
            user_name: user_name.clone(),
        });
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListMFADevicesResponse { mfa_devices: Some(items), marker, is_truncated })
    }
}

pub struct ListVirtualMFADevices;

impl ReadAction for ListVirtualMFADevices {
    type Op = api::ops::ListVirtualMFADevices;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:ListVirtualMFADevices").into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let status = input.assignment_status.as_ref().map_or("Any", |status| status.as_str());
        let rows = view.scan::<MfaDevice>((account, "".into()));
        let rows = rows.take_while(|device| device.account == account);
        let rows = rows.filter(|device| match status {
            "Assigned" => device.user.is_some(),
            "Unassigned" => device.user.is_none(),
            _ => true,
        });
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListVirtualMFADevices", marker, max_items: input.max_items };
        let page = asked.page(rows, |device| device.serial.to_string())?;
        let page = page.map(|device| api::VirtualMFADevice {
            enable_date: device.enabled_at.map(views::time),
            serial_number: Some(device.serial.to_string()),
            user: user_of(view, device).map(views::listed_user),
            ..Default::default()
        });
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListVirtualMFADevicesResponse {
            virtual_mfa_devices: Some(items),
            marker,
            is_truncated,
        })
    }
}
