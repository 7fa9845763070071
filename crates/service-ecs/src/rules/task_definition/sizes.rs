//! CPU and memory of tasks: `256`, `.25 vCPU`, `512`, `1 GB`, and the pairs that Fargate has.

use aws_protocol::ApiError;

use super::refuse;

/// AWS: between an eighth of a vCPU and 192 of them.
const CPU: std::ops::RangeInclusive<u32> = 128..=196_608;
/// Longer texts are no sizes.
const LONGEST: usize = 32;

const TROUBLE: &str = "For more information, see the Troubleshooting section of the Amazon ECS \
                       Developer Guide.";

/// CPU units of a task: a whole number of units, or vCPUs with a unit behind.
pub fn task_cpu(given: Option<&str>) -> Result<Option<u32>, ApiError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let cpu = parse(text, "vcpu").filter(|cpu| CPU.contains(cpu));
    let bad = || refuse(format!("Invalid 'cpu' setting for task. {TROUBLE}"));
    cpu.map(Some).ok_or_else(bad)
}

/// MiB of a task: a whole number of MiB, or GB with a unit behind.
pub fn task_memory(given: Option<&str>) -> Result<Option<u32>, ApiError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let memory = parse(text, "gb").filter(|memory| *memory >= 4);
    let bad = || refuse(format!("Invalid 'memory' setting for task. {TROUBLE}"));
    memory.map(Some).ok_or_else(bad)
}

/// A number of small units, or of large ones (1024 small) with the large one's name behind.
fn parse(text: &str, large: &str) -> Option<u32> {
    let text = text.trim();
    if text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let Some(number) = lower.strip_suffix(large) else {
        let digits = lower.bytes().all(|b| b.is_ascii_digit());
        return lower.parse().ok().filter(|_| digits);
    };
    thousandths_of_1024(number.trim())
}

/// A decimal number times 1024, where that is whole.
fn thousandths_of_1024(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let some = !whole.is_empty() || !fraction.is_empty();
    if !some || !digits(whole) || !digits(fraction) || whole.len() > 9 || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(fraction.len() as u32);
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scaled = (whole * scale + part).checked_mul(1024)?;
    if scaled % scale != 0 {
        return None;
    }
    u32::try_from(scaled / scale).ok()
}

/// AWS: the memory that Fargate has for an amount of CPU.
pub fn is_fargate_pair(cpu: u32, memory: u32) -> bool {
    let gb = 1024;
    let between = |from: u32, to: u32, step: u32| {
        (from * gb..=to * gb).contains(&memory) && memory.is_multiple_of(step * gb)
    };
    match cpu {
        256 => [512, gb, 2 * gb].contains(&memory),
        512 => between(1, 4, 1),
        1024 => between(2, 8, 1),
        2048 => between(4, 16, 1),
        4096 => between(8, 30, 1),
        8192 => between(16, 60, 4),
        16384 => between(32, 120, 8),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_units_and_their_multiples() {
        for (text, cpu) in [
            ("256", 256),
            ("0.25 vCPU", 256),
            (".25vcpu", 256),
            ("1 vcpu", 1024),
            ("1.5 VCPU", 1536),
            ("16 vCPU", 16384),
        ] {
            assert_eq!(task_cpu(Some(text)).unwrap(), Some(cpu), "{text}");
        }
        for (text, memory) in [("512", 512), ("1GB", 1024), ("0.5 GB", 512), ("2 gb", 2048)] {
            assert_eq!(task_memory(Some(text)).unwrap(), Some(memory), "{text}");
        }
        assert_eq!(task_cpu(None).unwrap(), None);
        for bad in ["127", "1 GB", "-1", "0.1 vCPU", "vCPU", ". vCPU", "1e3", "+256", "½ vCPU"] {
            let error = task_cpu(Some(bad)).unwrap_err();
            assert_eq!(error.code, "ClientException");
            assert!(error.message.starts_with("Invalid 'cpu' setting for task."), "{bad}");
        }
        assert!(task_memory(Some("3")).is_err());
        assert!(task_memory(Some("1 vCPU")).is_err());
    }

    #[test]
    fn knows_every_pair() {
        let good = [
            (256, 512),
            (256, 2048),
            (512, 4096),
            (1024, 2048),
            (1024, 8192),
            (2048, 16384),
            (4096, 30720),
            (8192, 16384),
            (8192, 61440),
            (16384, 32768),
            (16384, 122_880),
        ];
        for (cpu, memory) in good {
            assert!(is_fargate_pair(cpu, memory), "{cpu} {memory}");
        }
        let bad = [
            (128, 512),
            (256, 3072),
            (256, 513),
            (512, 512),
            (512, 1025),
            (1024, 1024),
            (4096, 31744),
            (8192, 17408),
            (16384, 33792),
            (1000, 2048),
        ];
        for (cpu, memory) in bad {
            assert!(!is_fargate_pair(cpu, memory), "{cpu} {memory}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = (task_cpu(Some(&text)), task_memory(Some(&text)));
        }

        #[test]
        fn what_is_printed_is_read_again(cpu in 128u32..=196_608) {
            prop_assert_eq!(task_cpu(Some(&cpu.to_string())).unwrap(), Some(cpu));
            let vcpu = format!("{} vCPU", f64::from(cpu) / 1024.0);
            // Nine decimals say a 1024th only where it is short.
            if vcpu.len() <= 15 {
                prop_assert_eq!(parse(&vcpu, "vcpu"), Some(cpu));
            }
        }
    }
}
