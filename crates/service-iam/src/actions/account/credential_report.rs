//! GenerateCredentialReport and GetCredentialReport: a table of all users and their credentials.

use std::time::Duration;

use core_state::State;
use core_types::{AccountId, Time};

use crate::actions::prelude::*;
use crate::rows::access_key::KeysOf;
use crate::rows::account::Account;
use crate::rows::certificate::CertificatesOf;
use crate::rows::mfa_device::DevicesOf;
use crate::rows::user::User;
use crate::rules::lists::of_account;

/// AWS: a report is made anew after four hours at the earliest, and then the old one has expired.
const FRESH: Duration = Duration::from_secs(4 * 3600);

const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,\
    password_last_changed,password_next_rotation,mfa_active,access_key_1_active,\
    access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,\
    access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
    access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,\
    cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

fn is_fresh(now: Time, made: Time) -> bool {
    now.since(made) < FRESH
}

pub struct GenerateCredentialReport;

impl WriteAction for GenerateCredentialReport {
    type Op = api::ops::GenerateCredentialReport;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:GenerateCredentialReport").into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let now = tx.now();
        let there = tx.get::<Account>(&call.account()).cloned();
        let mut account = there.unwrap_or_else(|| Account::new(call.account(), now));
        if account.credential_report.as_ref().is_some_and(|(made, _)| is_fresh(now, *made)) {
            let state = Some(api::ReportStateType::COMPLETE);
            return Ok(api::GenerateCredentialReportResponse { state, description: None });
        }
        let report = report(tx, call.account(), &account);
        account.credential_report = Some((now, report.into()));
        tx.put(account);
        // AWS: the first call starts the report and says so; the next finds it complete.
        Ok(api::GenerateCredentialReportResponse {
            state: Some(api::ReportStateType::STARTED),
            description: Some("No report exists. Starting a new report generation task".to_owned()),
        })
    }
}

pub struct GetCredentialReport;

impl ReadAction for GetCredentialReport {
    type Op = api::ops::GetCredentialReport;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:GetCredentialReport").into()
    }

    fn run(call: &Call, view: &View<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let account = view.get::<Account>(&call.account());
        let report = account.and_then(|account| account.credential_report.as_ref());
        let Some((made, report)) = report else {
            return Err(errors::credential_report_not_present_exception(
                "No report exists. Please call GenerateCredentialReport to create a new report.",
            ));
        };
        if !is_fresh(view.now(), *made) {
            return Err(errors::credential_report_expired_exception(
                "Report has expired. Please call GenerateCredentialReport to create a new report.",
            ));
        }
        Ok(api::GetCredentialReportResponse {
            content: Some(aws_protocol::Blob(report.as_bytes().to_vec().into())),
            generated_time: Some(views::time(*made)),
            report_format: Some(api::ReportFormatType::TEXT_CSV),
        })
    }
}

fn report(state: &State, account: AccountId, row: &Account) -> String {
    let mut lines = vec![COLUMNS.to_owned()];
    let root: Key = (account, "".into());
    let mut line = vec![
        "<root_account>".to_owned(),
        format!("arn:aws:iam::{account}:root"),
        shown(row.created_at),
        // AWS: of the root user's password nothing is told.
        "not_supported".to_owned(),
        "no_information".to_owned(),
        "not_supported".to_owned(),
        "not_supported".to_owned(),
    ];
    line.extend(credentials(state, &root));
    lines.push(line.join(","));
    for user in of_account::<User>(state, account, "") {
        let mut line = vec![user.head.name.to_string(), user.arn(), shown(user.head.created_at)];
        line.extend(password(row, user));
        line.extend(credentials(state, &key_of(account, &user.head.name)));
        lines.push(line.join(","));
    }
    lines.join("\n")
}

fn password(account: &Account, user: &User) -> [String; 4] {
    let none = || "N/A".to_owned();
    let Some(login) = &user.login else { return ["false".to_owned(), none(), none(), none()] };
    let days = account.password_policy.as_ref().and_then(|policy| policy.max_age);
    let days = days.and_then(|days| u64::try_from(days).ok()).filter(|days| *days > 0);
    let next = days.map(|days| shown(login.changed_at + Duration::from_secs(days * 86_400)));
    [
        "true".to_owned(),
        "no_information".to_owned(),
        shown(login.changed_at),
        next.unwrap_or_else(none),
    ]
}

/// MFA, two access keys and two certificates. AWS: what never was is `N/A`.
fn credentials(state: &State, user: &Key) -> Vec<String> {
    let none = || "N/A".to_owned();
    let mut cells = vec![state.by::<DevicesOf>(user).next().is_some().to_string()];
    let mut keys = state.by::<KeysOf>(user);
    for _ in 0..2 {
        let key = keys.next();
        cells.push(key.is_some_and(|key| key.active).to_string());
        cells.push(key.map_or_else(none, |key| shown(key.created_at)));
        let last = key.and_then(|key| key.last_used.as_ref());
        cells.push(last.map_or_else(none, |last| shown(last.at)));
        cells.push(last.map_or_else(none, |last| last.region.to_string()));
        cells.push(last.map_or_else(none, |last| last.service.to_string()));
    }
    let mut certificates = state.by::<CertificatesOf>(user);
    for _ in 0..2 {
        let certificate = certificates.next();
        cells.push(certificate.is_some_and(|certificate| certificate.active).to_string());
        cells.push(certificate.map_or_else(none, |certificate| shown(certificate.uploaded_at)));
    }
    cells
}

fn shown(time: Time) -> String {
    format!("{}+00:00", &time.to_string()[..19])
}
