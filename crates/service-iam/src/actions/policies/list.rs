//! ListPolicies: the customer's, AWS's, or both, in the order of their names.

use std::collections::BTreeMap;

use crate::actions::prelude::*;
use crate::rows::policy::PolicyNames;
use crate::rules::builtin;
use crate::rules::lists::under;
use crate::rules::policies::Found;

pub struct ListPolicies;

impl ReadAction for ListPolicies {
    type Op = api::ops::ListPolicies;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        // AWS: no ARN, so that only a policy about `*` grants it; refusals name the path.
        let path = input.path_prefix.as_deref().unwrap_or("/");
        Demand::on("iam:ListPolicies", format!("policy path {path}")).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let scope = input.scope.as_ref().map_or("All", |scope| scope.as_str());
        let mut found: BTreeMap<String, Found<'_>> = BTreeMap::new();
        if scope != "AWS" {
            let first = (account, "".into());
            let rows = view.by_range::<PolicyNames>(first).take_while(|(key, _)| key.0 == account);
            found.extend(rows.map(|(key, row)| (format!("{}/local", key.1), Found::Customer(row))));
        }
        if scope != "Local" {
            found.extend(
                builtin::all().map(|builtin| {
                    (format!("{}/aws", fold(builtin.about.name)), Found::Aws(builtin))
                }),
            );
        }
        let only_attached = input.only_attached == Some(true);
        let usage = input.policy_usage_filter.as_ref().map(|usage| usage.as_str());
        found.retain(|_, found| {
            let (attached, bounds) = policies::uses(view, account, &found.arn());
            under(found.path(), input.path_prefix.as_deref())
                && match usage {
                    Some("PermissionsBoundary") => bounds > 0,
                    Some(_) => attached > 0,
                    // AWS: OnlyAttached counts policies that bound a user or role too.
                    None => !only_attached || attached + bounds > 0,
                }
        });
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListPolicies", marker, max_items: input.max_items };
        let page = asked.page(found, |(name, _)| name.clone())?;
        let page = page.map(|(_, found)| views::listed_policy(view, account, found));
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListPoliciesResponse { policies: Some(items), marker, is_truncated })
    }
}
