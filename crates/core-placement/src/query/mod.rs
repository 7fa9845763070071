//! The cluster query language: which container instances an expression means.
//!
//! `attribute:ecs.instance-type =~ t3.* and not (runningTasksCount > 2)`. An expression is parsed
//! once and then asked of many instances. A comparison with what an instance does not have is
//! false, so its negated form (`!=`, `!in`, `!~`, `!exists`) is true.

use core_types::Time;
use regex::Regex;

mod tokens;

use tokens::{Token, tokens};

/// What the language can ask of a container instance.
pub trait Facts {
    fn agent_connected(&self) -> bool;
    fn agent_version(&self) -> Option<&str>;
    /// `Some(None)` for an attribute that has a name alone.
    fn attribute(&self, name: &str) -> Option<Option<&str>>;
    fn ec2_instance_id(&self) -> Option<&str>;
    fn registered_at(&self) -> Time;
    fn running_tasks(&self) -> i64;
    /// Whether any task here is of a group for which `test` holds.
    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// The text is no expression of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadQuery;

/// A parsed expression. Equal texts are equal queries.
#[derive(Clone, Debug)]
pub struct Query {
    node: Node,
    text: String,
}

impl PartialEq for Query {
    fn eq(&self, other: &Query) -> bool {
        self.text == other.text
    }
}

const LONGEST: usize = 2000;
const DEEPEST: usize = 32;

#[derive(Clone, Debug)]
enum Node {
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Test(Subject, Test),
}

#[derive(Clone, Debug)]
enum Subject {
    AgentConnected,
    AgentVersion,
    Attribute(String),
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
    TaskGroup,
}

#[derive(Clone, Debug)]
enum Test {
    Exists(bool),
    Equals(String, bool),
    In(Vec<String>, bool),
    Matches(Regex, bool),
    Order(Order, String),
}

/// Reads an instant out of an expression; the caller knows the forms that AWS takes.
pub type ReadTime = fn(&str) -> Option<Time>;

#[derive(Clone, Copy, Debug)]
enum Order {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Query {
    pub fn parse(text: &str, time: ReadTime) -> Result<Query, BadQuery> {
        if text.len() > LONGEST {
            return Err(BadQuery);
        }
        let mut parser = Parser { tokens: tokens(text)?, next: 0, time, of_time: false };
        let node = parser.any(0)?;
        if parser.next != parser.tokens.len() {
            return Err(BadQuery);
        }
        Ok(Query { node, text: text.to_owned() })
    }

    pub fn holds(&self, facts: &dyn Facts) -> bool {
        self.node.holds(facts)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the groups of an instance's tasks matter.
    pub(crate) fn asks_of_groups(&self) -> bool {
        self.node.asks_of(&|subject| matches!(subject, Subject::TaskGroup))
    }

    /// Whether an instance's tasks matter at all.
    pub(crate) fn asks_of_tasks(&self) -> bool {
        self.node
            .asks_of(&|subject| matches!(subject, Subject::TaskGroup | Subject::RunningTasksCount))
    }
}

impl Node {
    fn holds(&self, facts: &dyn Facts) -> bool {
        match self {
            Node::Not(node) => !node.holds(facts),
            Node::All(nodes) => nodes.iter().all(|node| node.holds(facts)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(facts)),
            Node::Test(subject, test) => test.holds(subject, facts),
        }
    }

    fn asks_of(&self, what: &dyn Fn(&Subject) -> bool) -> bool {
        match self {
            Node::Not(node) => node.asks_of(what),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|node| node.asks_of(what)),
            Node::Test(subject, _) => what(subject),
        }
    }
}

impl Test {
    fn holds(&self, subject: &Subject, facts: &dyn Facts) -> bool {
        if let Subject::TaskGroup = subject {
            // The groups of all its tasks: `!=` asks that none equals.
            let wants = !matches!(
                self,
                Test::Exists(false)
                    | Test::Equals(_, false)
                    | Test::In(_, false)
                    | Test::Matches(_, false)
            );
            return facts.any_task_group(&mut |group| self.positive(subject, group)) == wants;
        }
        let text = match subject {
            Subject::AgentConnected => Some(facts.agent_connected().to_string()),
            Subject::AgentVersion => facts.agent_version().map(str::to_owned),
            Subject::Attribute(name) => {
                facts.attribute(name).map(|value| value.unwrap_or_default().to_owned())
            }
            Subject::Ec2InstanceId => facts.ec2_instance_id().map(str::to_owned),
            Subject::RegisteredAt => Some(facts.registered_at().millis().to_string()),
            Subject::RunningTasksCount => Some(facts.running_tasks().to_string()),
            Subject::TaskGroup => None,
        };
        let positive = text.is_some_and(|text| self.positive(subject, &text));
        match self {
            Test::Exists(wants)
            | Test::Equals(_, wants)
            | Test::In(_, wants)
            | Test::Matches(_, wants) => positive == *wants,
            Test::Order(..) => positive,
        }
    }

    /// The test without its negation.
    fn positive(&self, subject: &Subject, text: &str) -> bool {
        match self {
            Test::Exists(_) => true,
            Test::Equals(value, _) => same(subject, text, value),
            Test::In(values, _) => values.iter().any(|value| same(subject, text, value)),
            Test::Matches(regex, _) => regex.is_match(text),
            Test::Order(order, value) => {
                compare(subject, text, value).is_some_and(|ordering| match order {
                    Order::Less => ordering.is_lt(),
                    Order::LessEqual => ordering.is_le(),
                    Order::Greater => ordering.is_gt(),
                    Order::GreaterEqual => ordering.is_ge(),
                })
            }
        }
    }
}

fn same(subject: &Subject, text: &str, value: &str) -> bool {
    match subject {
        Subject::RegisteredAt | Subject::RunningTasksCount | Subject::AgentVersion => {
            compare(subject, text, value).is_some_and(|ordering| ordering.is_eq())
        }
        Subject::AgentConnected => text.eq_ignore_ascii_case(value),
        _ => text == value,
    }
}

/// Versions by their numbers, times by the instant, numbers by value, else text.
fn compare(subject: &Subject, text: &str, value: &str) -> Option<std::cmp::Ordering> {
    match subject {
        Subject::AgentVersion => Some(version(text).cmp(&version(value))),
        Subject::RegisteredAt | Subject::RunningTasksCount => {
            Some(text.parse::<i64>().ok()?.cmp(&value.parse::<i64>().ok()?))
        }
        _ => match (text.parse::<f64>(), value.parse::<f64>()) {
            (Ok(text), Ok(value)) => text.partial_cmp(&value),
            _ => Some(text.cmp(value)),
        },
    }
}

fn version(text: &str) -> Vec<u64> {
    let text = text.trim_start_matches('v');
    text.split(['.', '-']).map(|part| part.parse().unwrap_or_default()).collect()
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    time: ReadTime,
    /// The values being read are instants; they are kept as milliseconds.
    of_time: bool,
}

impl Parser {
    fn peek_is(&self, sign: &str, word: &str) -> bool {
        match self.tokens.get(self.next) {
            Some(Token::Sign(given)) => *given == sign,
            Some(Token::Word(given)) => given == word,
            _ => false,
        }
    }

    fn take(&mut self, sign: &str, word: &str) -> bool {
        let there = self.peek_is(sign, word);
        self.next += usize::from(there);
        there
    }

    fn any(&mut self, depth: usize) -> Result<Node, BadQuery> {
        if depth > DEEPEST {
            return Err(BadQuery);
        }
        let mut nodes = vec![self.all(depth)?];
        while self.take("||", "or") {
            nodes.push(self.all(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self, depth: usize) -> Result<Node, BadQuery> {
        let mut nodes = vec![self.one(depth)?];
        while self.take("&&", "and") {
            nodes.push(self.one(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn one(&mut self, depth: usize) -> Result<Node, BadQuery> {
        if depth > DEEPEST {
            return Err(BadQuery);
        }
        if self.take("!", "not") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take("(", "(") {
            let node = self.any(depth + 1)?;
            return if self.take(")", ")") { Ok(node) } else { Err(BadQuery) };
        }
        let subject = self.subject()?;
        self.of_time = matches!(subject, Subject::RegisteredAt);
        Ok(Node::Test(subject, self.test()?))
    }

    fn subject(&mut self) -> Result<Subject, BadQuery> {
        let Some(Token::Word(word)) = self.tokens.get(self.next) else { return Err(BadQuery) };
        self.next += 1;
        Ok(match word.as_str() {
            "agentConnected" => Subject::AgentConnected,
            "agentVersion" => Subject::AgentVersion,
            "ec2InstanceId" => Subject::Ec2InstanceId,
            "registeredAt" => Subject::RegisteredAt,
            "runningTasksCount" => Subject::RunningTasksCount,
            "task:group" => Subject::TaskGroup,
            other => match other.strip_prefix("attribute:") {
                Some(name) if !name.is_empty() => Subject::Attribute(name.to_owned()),
                _ => return Err(BadQuery),
            },
        })
    }

    fn test(&mut self) -> Result<Test, BadQuery> {
        // `!exists` and `!in` come as two tokens.
        let negated = self.take("!", "!");
        let wants = !negated;
        if self.take("", "exists") {
            return Ok(Test::Exists(wants));
        }
        if self.take("", "in") {
            return Ok(Test::In(self.list()?, wants));
        }
        if negated {
            return Err(BadQuery);
        }
        if self.take("", "not_exists") {
            return Ok(Test::Exists(false));
        }
        if self.take("", "not_in") {
            return Ok(Test::In(self.list()?, false));
        }
        for (sign, word, wants) in [("==", "equals", true), ("!=", "not_equals", false)] {
            if self.take(sign, word) {
                return Ok(Test::Equals(self.value()?, wants));
            }
        }
        for (sign, word, wants) in [("=~", "matches", true), ("!~", "not_matches", false)] {
            if self.take(sign, word) {
                return Ok(Test::Matches(whole(&self.value()?)?, wants));
            }
        }
        for (sign, word, order) in [
            (">=", "greater_than_equal", Order::GreaterEqual),
            ("<=", "less_than_equal", Order::LessEqual),
            (">", "greater_than", Order::Greater),
            ("<", "less_than", Order::Less),
        ] {
            if self.take(sign, word) {
                return Ok(Test::Order(order, self.value()?));
            }
        }
        Err(BadQuery)
    }

    fn value(&mut self) -> Result<String, BadQuery> {
        let value = match self.tokens.get(self.next) {
            Some(Token::Word(text) | Token::Quoted(text)) => text.clone(),
            _ => return Err(BadQuery),
        };
        self.next += 1;
        match self.of_time {
            // An instant that cannot be read equals none.
            true => Ok((self.time)(&value).map(|at| at.millis().to_string()).unwrap_or(value)),
            false => Ok(value),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, BadQuery> {
        if !self.take("[", "[") {
            return Err(BadQuery);
        }
        let mut values = vec![self.value()?];
        while self.take(",", ",") {
            values.push(self.value()?);
        }
        if self.take("]", "]") { Ok(values) } else { Err(BadQuery) }
    }
}

/// AWS: a pattern must match the whole value.
fn whole(pattern: &str) -> Result<Regex, BadQuery> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 18)
        .build()
        .map_err(|_| BadQuery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Host;

    /// Years are enough for these tests.
    fn instant(text: &str) -> Option<Time> {
        let year: i64 = text.get(..4)?.parse().ok()?;
        Some(Time((year - 1970) * 31_556_952_000))
    }

    impl Facts for Host {
        fn agent_connected(&self) -> bool {
            true
        }
        fn agent_version(&self) -> Option<&str> {
            Some("1.105.1")
        }
        fn attribute(&self, name: &str) -> Option<Option<&str>> {
            match name {
                "ecs.instance-type" => Some(Some("t3.large")),
                "ecs.availability-zone" => Some(Some("us-east-1a")),
                "gpu" => Some(None),
                _ => None,
            }
        }
        fn ec2_instance_id(&self) -> Option<&str> {
            Some("i-0123456789abcdef0")
        }
        fn registered_at(&self) -> Time {
            Time(1_700_000_000_000)
        }
        fn running_tasks(&self) -> i64 {
            3
        }
        fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
            ["service:web", "family:job"].into_iter().any(test)
        }
    }

    #[test]
    fn says_what_holds() {
        for text in [
            "agentConnected == true",
            "agentVersion >= 1.30.0 and agentVersion < 2",
            "attribute:ecs.instance-type == t3.large",
            "attribute:ecs.instance-type =~ t3.*",
            "attribute:ecs.instance-type matches (t2|t3)\\..+ && attribute:gpu exists",
            "attribute:ecs.instance-type !~ t2.*",
            "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
            "attribute:ecs.availability-zone not_in ['us-east-1c']",
            "attribute:ecs.availability-zone !in [us-east-1c]",
            "attribute:missing !exists",
            "attribute:missing not_exists or agentConnected == false",
            "attribute:missing != x",
            "not(attribute:missing == x)",
            "!(attribute:missing exists) && (runningTasksCount > 2 || agentConnected==false)",
            "runningTasksCount <= 3",
            "ec2InstanceId == i-0123456789abcdef0",
            "ec2InstanceId in ['i-0123456789abcdef0', 'i-1']",
            "registeredAt > 2018-02-18T00:00:00Z",
            "registeredAt less_than \"2030-01-01T00:00:00Z\"",
            "task:group == service:web",
            "task:group != service:other",
            "(attribute:ecs.instance-type =~ t3.*)",
        ] {
            assert!(Query::parse(text, instant).expect(text).holds(&Host), "{text}");
        }
        for text in [
            "agentConnected == false",
            "attribute:ecs.instance-type =~ large",
            "attribute:missing == x",
            "attribute:missing > 1",
            "task:group != service:web",
            "task:group in [service:x]",
            "runningTasksCount > 3",
            "agentVersion > 1.105.10",
        ] {
            assert!(!Query::parse(text, instant).expect(text).holds(&Host), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_expression() {
        let deep = "(".repeat(100) + "agentConnected == true" + &")".repeat(100);
        let long = "agentConnected == true and ".repeat(100) + "agentConnected == true";
        for text in [
            "",
            "x",
            "attribute:",
            "attribute:a ==",
            "attribute:a in []",
            "attribute:a in [b",
            "attribute:a =~ (",
            "attribute:a == b c",
            "(attribute:a exists",
            "attribute:a !",
            "and",
            "attribute:a == 'b",
            &deep,
            &long,
        ] {
            assert!(Query::parse(text, instant).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-zA-Z:.=!~<>&|()\\[\\], '\"0-9*éü]{0,60}") {
            if let Ok(query) = Query::parse(&text, instant) {
                query.holds(&Host);
            }
        }

        #[test]
        fn a_negation_is_the_opposite(name in "[a-z]{1,8}", value in "[a-z0-9]{1,8}") {
            let yes = Query::parse(&format!("attribute:{name} == {value}"), instant).unwrap();
            let no = Query::parse(&format!("not (attribute:{name} == {value})"), instant).unwrap();
            prop_assert_ne!(yes.holds(&Host), no.holds(&Host));
        }
    }
}
