//! The default VPC as callers see it, in the bytes of the wire, and interfaces as ECS makes them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use aws_protocol::{ApiError, Protocol};
use core_state::Tx;
use core_step::*;
use core_types::{AccountId, Region, Scope, Time};
use service_ec2::ops::{self, NewInterface};
use service_ec2::reports::{HostReady, NetworkReady};

struct Permissive;

impl Identity for Permissive {
    fn credentials(
        &self,
        _: &View<'_>,
        _: &str,
        _: Option<&str>,
    ) -> Result<Credentials, CredentialError> {
        Err(CredentialError::Unknown)
    }

    fn authorize(&self, _: &Call, _: &View<'_>, _: &[Demand]) -> Result<(), ApiError> {
        Ok(())
    }
}

struct World {
    core: Core,
    steps: u8,
}

const ACCOUNT: u64 = 123_456_789_012;

fn scope() -> Scope {
    Scope::new(AccountId::new(ACCOUNT).unwrap(), "us-east-1".parse().unwrap())
}

impl World {
    /// A machine with a VPC and two hosts.
    fn new() -> World {
        static SLICES: &[&Slice] = &[&service_ec2::SLICE];
        let registry = Registry::new(SLICES, Box::new(Permissive));
        let state = registry.empty_state();
        World { core: Core::new(registry, state, OnPanic::Abort), steps: 0 }
    }

    fn with_hosts() -> World {
        let mut world = World::new();
        world.report(NetworkReady { cidr: "10.7.0.0/16".parse().unwrap() });
        for (id, zone, address) in [("i-0a", 'a', [10, 7, 0, 4]), ("i-0b", 'b', [10, 7, 16, 4])] {
            world.report(HostReady {
                id: id.into(),
                scope: scope(),
                zone,
                address: address.into(),
                instance_type: "wharf.host".into(),
            });
        }
        world
    }

    fn report(&mut self, report: impl Report + 'static) {
        self.step(vec![Event::Report(Box::new(report))]);
    }

    fn step(&mut self, events: Vec<Event>) -> Step {
        self.steps += 1;
        let step = self.core.step(Time(1_700_000_000_000), [self.steps; 32], events);
        assert_eq!(step.faults, Vec::<String>::new());
        assert_eq!(self.core.registry().check(self.core.state()), Vec::<String>::new());
        step
    }

    /// Calls with a form as the query protocol has it, and answers with the XML or the error's code and text.
    fn call(&mut self, operation: &str, form: &str) -> Result<String, (String, String)> {
        let action = self.core.registry().action("ec2", operation).expect(operation);
        let (parts, ()) = http::Request::builder()
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap()
            .into_parts();
        let told = |e: ApiError| (e.code_in(Protocol::Ec2Query).to_owned(), e.message);
        let body = format!("Action={operation}&Version=2016-11-15&{form}").into_bytes().into();
        let input = action.op.decode(Protocol::Ec2Query, &parts, &body).map_err(told)?;
        let caller = Caller { account: AccountId::new(ACCOUNT).unwrap(), ..Caller::anonymous() };
        let call = Call {
            caller: Arc::new(caller),
            region: "us-east-1".parse::<Region>().unwrap(),
            request_id: "r".into(),
            origin: Arc::new(Origin {
                source_ip: None,
                user_agent: String::new(),
                endpoint: "http://127.0.0.1".into(),
                secure: false,
            }),
        };
        let mut step = self.step(vec![Event::Call { call: Arc::new(call), action, input }]);
        match step.replies.remove(0) {
            Handled::Call(Ok(output)) => {
                let reply = action.op.encode(Protocol::Ec2Query, &*output, "r");
                Ok(String::from_utf8(reply.body().to_vec()).unwrap())
            }
            Handled::Call(Err(error)) => Err(told(error)),
            _ => unreachable!("a call is answered as a call"),
        }
    }

    fn value(&mut self, operation: &str, form: &str, tag: &str) -> Vec<String> {
        let xml = self.call(operation, form).unwrap();
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let parts = xml.split(&open).skip(1);
        parts.map(|part| part.split(&close).next().unwrap().to_owned()).collect()
    }
}

/// Something that ECS would do inside of one of its actions.
struct Inside<F>(F);

impl<F: FnOnce(&mut Tx<'_>) + Send> Report for Inside<F> {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn std::any::Any + Send> {
        (self.0)(tx);
        Box::new(())
    }
}

#[test]
fn without_hosts_there_is_no_vpc_and_with_them_one_of_each() {
    let mut world = World::new();
    assert_eq!(world.value("DescribeVpcs", "", "vpcId"), Vec::<String>::new());
    assert_eq!(
        world.value("DescribeAvailabilityZones", "", "zoneName"),
        ["us-east-1a", "us-east-1b"]
    );
    let mut world = World::with_hosts();
    let vpc = world.value("DescribeVpcs", "", "vpcId");
    assert_eq!(vpc.len(), 1);
    assert_eq!((vpc[0].len(), &vpc[0][..5]), ("vpc-".len() + 17, "vpc-0"));
    let mut blocks = world.value("DescribeSubnets", "", "cidrBlock");
    blocks.sort();
    assert_eq!(blocks, ["10.7.0.0/20", "10.7.16.0/20"]);
    let zone_b = "Filter.1.Name=availability-zone&Filter.1.Value.1=us-east-1b";
    assert_eq!(world.value("DescribeSubnets", zone_b, "cidrBlock"), ["10.7.16.0/20"]);
    assert_eq!(world.value("DescribeSubnets", zone_b, "availableIpAddressCount"), ["4090"]);
    for (operation, tag) in [
        ("DescribeSecurityGroups", "groupName"),
        ("DescribeRouteTables", "routeTableId"),
        ("DescribeInternetGateways", "internetGatewayId"),
    ] {
        let filter = match operation {
            "DescribeInternetGateways" => {
                format!("Filter.1.Name=attachment.vpc-id&Filter.1.Value.1={}", vpc[0])
            }
            _ => format!("Filter.1.Name=vpc-id&Filter.1.Value.1={}", vpc[0]),
        };
        assert!(!world.value(operation, &filter, tag).is_empty(), "{operation}");
    }
    let attribute = format!("VpcId={}&Attribute=enableDnsHostnames", vpc[0]);
    assert_eq!(world.value("DescribeVpcAttribute", &attribute, "value"), ["true"]);
    assert_eq!(world.value("DescribeInstances", "", "instanceId"), ["i-0a", "i-0b"]);
    let kinds = world.value("DescribeInstances", "", "instanceType");
    assert_eq!(kinds, ["wharf.host", "wharf.host"]);
    let other = "Filter.1.Name=instance-type&Filter.1.Value.1=t3.micro";
    assert!(world.value("DescribeInstances", other, "instanceId").is_empty());
    let one = "Filter.1.Name=private-ip-address&Filter.1.Value.1=10.7.16.*";
    assert_eq!(world.value("DescribeInstances", one, "instanceId"), ["i-0b"]);
    assert!(world.value("DescribeRegions", "", "regionName").contains(&"us-east-1".to_owned()));
}

#[test]
fn errors_are_awss() {
    let mut world = World::with_hosts();
    let refused =
        |world: &mut World, operation: &str, form: &str| world.call(operation, form).unwrap_err();
    let (code, text) = refused(&mut world, "DescribeSubnets", "SubnetId.1=subnet-123");
    assert_eq!(code, "InvalidSubnetID.NotFound");
    assert_eq!(text, "The subnet ID 'subnet-123' does not exist");
    let (code, text) =
        refused(&mut world, "DescribeVpcs", "Filter.1.Name=colour&Filter.1.Value.1=red");
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("InvalidParameterValue", "The filter 'colour' is invalid")
    );
    assert_eq!(refused(&mut world, "DescribeVpcs", "DryRun=true").0, "DryRunOperation");
    assert_eq!(
        refused(&mut world, "DescribeSecurityGroups", "GroupId.1=sg-1").0,
        "InvalidGroup.NotFound"
    );
    assert_eq!(
        refused(&mut world, "DescribeInstances", "InstanceId.1=i-9").0,
        "InvalidInstanceID.NotFound"
    );
}

#[test]
fn interfaces_have_addresses_of_their_own_and_are_given_back() {
    let mut world = World::with_hosts();
    let subnet = world.value(
        "DescribeSubnets",
        "Filter.1.Name=cidr&Filter.1.Value.1=10.7.0.0/20",
        "subnetId",
    );
    let id = subnet[0].clone();
    world.report(Inside(move |tx: &mut Tx<'_>| {
        let new = || NewInterface { subnet: &id, groups: vec![], description: "task".into() };
        let made: Vec<_> =
            (0..3).map(|_| ops::create_interface(tx, scope(), new()).unwrap()).collect();
        assert_eq!(made[0].address.to_string(), "10.7.1.0");
        assert_ne!(made[0].address, made[1].address);
        ops::attach_interface(tx, &made[1].key, "i-0a".into());
        ops::delete_interface(tx, &made[2].key);
        let next = ops::create_interface(tx, scope(), new()).unwrap();
        assert_ne!(next.address, made[2].address);
        ops::delete_interface(tx, &next.key);
        let stranger = ops::find_groups(tx, scope(), &["sg-1".to_owned()]).unwrap_err();
        assert_eq!(stranger.message, "The security group 'sg-1' does not exist");
    }));
    assert_eq!(world.value("DescribeNetworkInterfaces", "", "networkInterfaceId").len(), 2);
    let attached = "Filter.1.Name=attachment.instance-id&Filter.1.Value.1=i-0a";
    assert_eq!(
        world.value("DescribeNetworkInterfaces", attached, "privateIpAddress")[0],
        "10.7.1.1"
    );
    assert_eq!(
        world.value("DescribeNetworkInterfaces", attached, "macAddress"),
        ["02:0e:0a:07:01:01"]
    );
}

#[test]
fn a_full_subnet_says_so() {
    let mut world = World::new();
    // The smallest range: its subnets have room for 126 interfaces.
    world.report(NetworkReady { cidr: "10.7.0.0/20".parse().unwrap() });
    let id = world.value("DescribeSubnets", "", "subnetId")[0].clone();
    world.report(Inside(move |tx: &mut Tx<'_>| {
        let mut made = 0;
        let error = loop {
            let new = NewInterface { subnet: &id, groups: vec![], description: String::new() };
            match ops::create_interface(tx, scope(), new) {
                Ok(_) => made += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(made, 127);
        assert_eq!(error.code_in(Protocol::Ec2Query), "InsufficientFreeAddressesInSubnet");
    }));
}

#[test]
fn ids_follow_from_account_and_region() {
    let ids = |world: &mut World| world.value("DescribeVpcs", "", "vpcId");
    assert_eq!(ids(&mut World::with_hosts()), ids(&mut World::with_hosts()));
}
