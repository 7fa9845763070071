//! Regions and their availability zones. Every region has the zones that hosts have.

/// AWS: the regions that need no opting in, in the order in which they are listed.
pub const REGIONS: &[&str] = &[
    "ap-south-1",
    "eu-north-1",
    "eu-west-3",
    "eu-west-2",
    "eu-west-1",
    "ap-northeast-3",
    "ap-northeast-2",
    "ap-northeast-1",
    "ca-central-1",
    "sa-east-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// AWS: `use1-az1` for `us-east-1a`: the id says the same place in every account.
pub fn zone_id(region: &str, zone: usize) -> String {
    let mut parts = region.split('-');
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part {
            "northeast" => short.push_str("ne"),
            "northwest" => short.push_str("nw"),
            "southeast" => short.push_str("se"),
            "southwest" => short.push_str("sw"),
            number if number.bytes().all(|b| b.is_ascii_digit()) => short.push_str(number),
            word => short.extend(word.chars().next()),
        }
    }
    format!("{short}-az{}", zone + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_ids_are_awss() {
        assert_eq!(zone_id("us-east-1", 0), "use1-az1");
        assert_eq!(zone_id("ap-southeast-2", 1), "apse2-az2");
        assert_eq!(zone_id("eu-central-1", 0), "euc1-az1");
    }
}
