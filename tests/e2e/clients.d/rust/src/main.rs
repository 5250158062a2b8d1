// kube-rs against a cluster: client STEP, with POD and NAMESPACE in the environment (see tests/e2e/clients).
use anyhow::{bail, ensure, Context, Result};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, AttachParams, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::{watcher, WatchStreamExt};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Cluster {
    client: Client,
    namespace: String,
    pod: String,
}

impl Cluster {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

async fn list(c: &Cluster) -> Result<()> {
    let nodes = Api::<Node>::all(c.client.clone()).list(&ListParams::default()).await?;
    ensure!(!nodes.items.is_empty(), "no nodes");
    let pods = c.pods().list(&ListParams::default().labels("app=web")).await?;
    ensure!(pods.iter().any(|p| p.name_any() == c.pod), "the pod is not listed");
    Ok(())
}

// Says each object that the watch shows, until the one called "last".
async fn watch(c: &Cluster) -> Result<()> {
    let config = watcher::Config::default().labels("clients=watch");
    let mut stream = watcher(c.maps(), config).default_backoff().applied_objects().boxed();
    loop {
        match stream.try_next().await {
            Ok(Some(map)) => {
                println!("seen {}", map.name_any());
                if map.name_any() == "last" {
                    return Ok(());
                }
            }
            Ok(None) => bail!("the watch ended"),
            Err(error) => eprintln!("{error}"), // the watcher tries again
        }
    }
}

async fn apply(c: &Cluster) -> Result<()> {
    let params = PatchParams::apply("rust");
    for value in ["one", "two"] {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied-rust"}, "data": {"k": value}});
        let done = c.maps().patch("applied-rust", &params, &Patch::Apply(&map)).await?;
        ensure!(done.data.context("no data")?["k"] == value, "not what was applied");
    }
    let map = c.maps().get("applied-rust").await?;
    let managers = map.managed_fields();
    ensure!(managers.len() == 1 && managers[0].manager.as_deref() == Some("rust"), "managers: {managers:?}");
    c.maps().delete("applied-rust", &DeleteParams::default()).await?;
    Ok(())
}

async fn exec(c: &Cluster) -> Result<()> {
    let command = ["sh", "-c", "cat; echo err >&2; exit 3"];
    let mut process = c.pods().exec(&c.pod, command, &AttachParams::default().stdin(true)).await?;
    let status = process.take_status().context("no status")?;
    let mut stdin = process.stdin().context("no stdin")?;
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (process.stdout().context("no stdout")?, process.stderr().context("no stderr")?);
    stdin.write_all(b"hello").await?;
    stdin.shutdown().await?;
    drop(stdin);
    tokio::try_join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err))?;
    ensure!(out == "hello" && err == "err\n", "out {out:?}, err {err:?}");
    let status = status.await.context("no status came")?;
    let causes = status.details.and_then(|d| d.causes).unwrap_or_default();
    ensure!(causes.iter().any(|cause| cause.message.as_deref() == Some("3")), "the exit code is not 3");
    Ok(())
}

async fn forward(c: &Cluster) -> Result<()> {
    let mut forwarder = c.pods().portforward(&c.pod, &[80]).await?;
    let mut stream = forwarder.take_stream(80).context("no stream")?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    ensure!(page.contains("hello"), "page {page:?}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let step = std::env::args().nth(1).unwrap_or_default();
    let cluster = Cluster {
        client: Client::try_default().await?,
        namespace: std::env::var("NAMESPACE")?,
        pod: std::env::var("POD")?,
    };
    match step.as_str() {
        "list" => list(&cluster).await,
        "watch" => watch(&cluster).await,
        "apply" => apply(&cluster).await,
        "exec" => exec(&cluster).await,
        "forward" => forward(&cluster).await,
        _ => bail!("unknown step {step}"),
    }
}
