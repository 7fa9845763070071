//! Two accounts on one gateway: the one that asks, and a neighbour whose cargo nobody else may see.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_protocol::{OperationDef, ServiceDef};
use aws_sigv4::{SignBody, Signer, Style};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use plane_engine::{Engine, Options};
use plane_gateway::{Gateway, Parts, Patience, Peer};
use plane_journal::{EmbeddedJournal, EmbeddedOptions};
use service_iam::reports::EnsureRoot;

/// The account that sends the requests, and its neighbour.
pub const OWN: &str = "111111111111";
pub const NEIGHBOUR: &str = "222222222222";

/// Names of things in both accounts, which requests use.
pub const NAMES: [&str; 6] = ["web", "dock", "crane", "pier", "default", "mole"];

/// Stands in every row of the neighbour's, and in no request.
pub const CARGO: &str = "Kc7Z3rnCargoOfTheNeighbour";

#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

pub struct World {
    pub gateway: Arc<Gateway>,
    pub engine: Engine,
    keys: Vec<Key>,
    neighbour: Key,
    _folder: tempfile::TempDir,
}

impl World {
    /// A gateway over an engine on a journal in a new folder, with both accounts filled.
    pub async fn open() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = EmbeddedOptions::new(folder.path().join("journal"));
        let journal = EmbeddedJournal::open(options).expect("a new journal opens");
        let registry = crate::slices::registry();
        let engine = Engine::start(registry, Box::new(journal), Options::default());
        let engine = engine.expect("the engine starts on an empty journal");
        engine.led().await.expect("an embedded journal leads at once");
        let gateway = Gateway::new(engine.clone(), Parts::default());
        let own = root(&engine, OWN, "AKIAFUZZFUZZFUZZOWN1").await;
        let neighbour = root(&engine, NEIGHBOUR, "AKIAFUZZFUZZFUZZNEXT").await;
        let keys = vec![own.clone()];
        let mut world =
            World { gateway, engine, keys, neighbour: neighbour.clone(), _folder: folder };
        world.fill(&neighbour, CARGO).await;
        world.fill(&own, "own").await;
        world.add_principals(&own).await;
        world
    }

    pub fn services(&self) -> Vec<&'static ServiceDef> {
        self.engine.registry().slices().iter().map(|slice| slice.service).collect()
    }

    /// The operations that have an action.
    pub fn offered(&self) -> Vec<&'static OperationDef> {
        let slices = self.engine.registry().slices().iter();
        slices.flat_map(|slice| slice.actions).map(|action| action.op).collect()
    }

    pub fn offers(&self, operation: &OperationDef) -> bool {
        self.engine.registry().action(operation.service.id, operation.name).is_some()
    }

    /// Those who ask: the root user, a user with few permissions, a role's session.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.expect("the clock stands after 1970").as_secs() as i64
    }

    pub async fn send(&self, request: http::Request<Full<Bytes>>) -> Response<Bytes> {
        let peer = Peer { address: Some(([127, 0, 0, 1], 40_000).into()), secure: false };
        let patience = Patience::new(Duration::from_secs(60));
        let (parts, body) = self.gateway.answer(request, peer, &patience).await.into_parts();
        let body = body.whole().await.expect("a reply that was begun is ended");
        Response::from_parts(parts, body)
    }

    /// One thing of every kind in an account, each holding `cargo` where only its owner may look.
    async fn fill(&self, key: &Key, cargo: &str) {
        let tag = format!(r#"[{{"key":"cargo","value":"{cargo}"}}]"#);
        let allow = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Sid%22%3A%22\
                     CARGO%22%2C%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22ecs%3AList%2A%22%2C\
                     %22Resource%22%3A%22%2A%22%7D%5D%7D"
            .replace("CARGO", cargo);
        let trust = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A\
                     %22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%7B%22\
                     AWS%22%3A%22ACCOUNT%22%7D%7D%5D%7D"
            .replace("ACCOUNT", if cargo == CARGO { NEIGHBOUR } else { OWN });
        for name in &NAMES {
            self.ecs(key, "CreateCluster", &format!(r#"{{"clusterName":"{name}","tags":{tag}}}"#))
                .await;
            let container = format!(
                r#"{{"name":"a","image":"b","memory":8,"environment":[{{"name":"E","value":"{cargo}"}}]}}"#
            );
            let definition =
                format!(r#"{{"family":"{name}","containerDefinitions":[{container}]}}"#);
            self.ecs(key, "RegisterTaskDefinition", &definition).await;
            let tags = format!("Tags.member.1.Key=cargo&Tags.member.1.Value={cargo}");
            let role = format!("AssumeRolePolicyDocument={trust}&Description={cargo}");
            self.iam(key, "CreateUser", &format!("UserName={name}&{tags}")).await;
            self.iam(key, "CreateGroup", &format!("GroupName={name}&Path=/{cargo}/")).await;
            self.iam(key, "CreateRole", &format!("RoleName={name}&{role}")).await;
            let policy = format!("PolicyName={name}&PolicyDocument={allow}");
            self.iam(key, "CreatePolicy", &format!("{policy}&Description={cargo}")).await;
            self.iam(key, "PutUserPolicy", &format!("UserName={name}&{policy}")).await;
            self.iam(key, "PutRolePolicy", &format!("RoleName={name}&{policy}")).await;
        }
        if cargo == CARGO {
            let alias = cargo.to_lowercase();
            self.iam(key, "CreateAccountAlias", &format!("AccountAlias={alias}")).await;
        }
    }

    /// All that the neighbour sees of its own, to be compared before and after.
    pub async fn neighbours_own(&self) -> Vec<String> {
        let key = &self.neighbour;
        let names = NAMES.map(|name| format!("\"{name}\"")).join(",");
        let clusters = format!(r#"{{"clusters":[{names}],"include":["TAGS","SETTINGS"]}}"#);
        let mut seen = vec![
            self.ecs(key, "DescribeClusters", &clusters).await,
            self.ecs(key, "ListClusters", "{}").await,
            self.ecs(key, "ListTaskDefinitions", "{}").await,
            self.ecs(key, "ListAccountSettings", r#"{"effectiveSettings":true}"#).await,
        ];
        for action in ["GetAccountAuthorizationDetails", "ListAccountAliases", "ListUsers"] {
            let answer = self.iam(key, action, "").await;
            let (answer, _) = answer.split_once("<ResponseMetadata>").unwrap_or((&answer, ""));
            seen.push(answer.to_owned());
        }
        seen
    }

    async fn add_principals(&mut self, own: &Key) {
        let made = self.iam(own, "CreateAccessKey", "UserName=crane").await;
        let user = key_of(&made);
        let allow = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A\
                     %22Allow%22%2C%22Action%22%3A%5B%22sts%3A%2A%22%2C%22ecs%3A%2A%22%5D%2C%22\
                     Resource%22%3A%22%2A%22%7D%5D%7D";
        let policy = format!("UserName=crane&PolicyName=p&PolicyDocument={allow}");
        self.iam(own, "PutUserPolicy", &policy).await;
        let role = format!("RoleArn=arn:aws:iam::{OWN}:role/pier&RoleSessionName=fuzz");
        let session = self.query(&user, "sts", "2011-06-15", "AssumeRole", &role).await;
        self.keys.extend([own.clone(), user, key_of(&session)]);
    }

    pub async fn ecs(&self, key: &Key, operation: &str, body: &str) -> String {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.well_made(key, "ecs", &headers, body).await
    }

    pub async fn iam(&self, key: &Key, action: &str, parameters: &str) -> String {
        self.query(key, "iam", "2010-05-08", action, parameters).await
    }

    async fn query(
        &self,
        key: &Key,
        service: &str,
        version: &str,
        action: &str,
        parameters: &str,
    ) -> String {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("Action={action}&Version={version}&{parameters}");
        self.well_made(key, service, &headers, &body).await
    }

    /// A request that must be granted.
    async fn well_made(
        &self,
        key: &Key,
        service: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> String {
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("localhost:4566"));
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).expect("headers are ASCII"));
        }
        let signer = Signer {
            access_key: &key.id,
            secret: &key.secret,
            token: key.token.as_deref(),
            region: "us-east-1",
            service,
            style: Style::General,
            now: self.now(),
        };
        let signed = signer.sign("POST", "/", "", &mut map, SignBody::Bytes(body.as_bytes()));
        signed.expect("a request with a Host can be signed");
        let mut request = http::Request::new(Full::new(Bytes::from(body.to_owned())));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = map;
        let response = self.send(request).await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(response.status().is_success(), "{body}\n{text}");
        text
    }
}

async fn root(engine: &Engine, account: &str, id: &str) -> Key {
    let secret = format!("secret-of-{account}-{}", if account == OWN { "own" } else { CARGO });
    let report = EnsureRoot {
        account: account.parse().expect("twelve digits"),
        access_key_id: id.to_owned(),
        secret: secret.clone(),
    };
    engine.report(Box::new(report)).await.expect("an account can be made");
    Key { id: id.to_owned(), secret, token: None }
}

/// The credentials in an answer of IAM's or STS's.
fn key_of(answer: &str) -> Key {
    let between = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    Key {
        id: between("AccessKeyId").expect("an answer with an access key"),
        secret: between("SecretAccessKey").expect("an answer with a secret"),
        token: between("SessionToken"),
    }
}
