import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.ListOptionsBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.LocalPortForward;
import io.fabric8.kubernetes.client.dsl.ExecWatch;
import io.fabric8.kubernetes.client.dsl.PodResource;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** fabric8's kubernetes-client against a cluster: Main STEP, with POD and NAMESPACE in the environment (see tests/e2e/clients). */
public final class Main {
  private static final String NAMESPACE = System.getenv("NAMESPACE");
  private static final String POD = System.getenv("POD");

  private static void check(boolean holds, Object otherwise) {
    if (!holds) {
      throw new IllegalStateException(String.valueOf(otherwise));
    }
  }

  private static void list(KubernetesClient client) {
    var nodes = client.nodes().list(new ListOptionsBuilder().withLimit(1L).build());
    check(nodes.getItems().size() == 1, "no nodes");
    var pods = client.pods().inNamespace(NAMESPACE).withLabel("app", "web").list();
    check(pods.getItems().stream().anyMatch(p -> p.getMetadata().getName().equals(POD)), "the pod is not listed");
  }

  /** Says each object that the informer shows, until the one called "last". */
  private static void watch(KubernetesClient client) throws Exception {
    var last = new CountDownLatch(1);
    var handler = new ResourceEventHandler<ConfigMap>() {
      @Override
      public void onAdd(ConfigMap map) {
        System.out.println("seen " + map.getMetadata().getName());
        if (map.getMetadata().getName().equals("last")) {
          last.countDown();
        }
      }

      @Override
      public void onUpdate(ConfigMap before, ConfigMap after) {}

      @Override
      public void onDelete(ConfigMap map, boolean unknown) {}
    };
    try (var informer = client.configMaps().inNamespace(NAMESPACE).withLabel("clients", "watch").inform(handler)) {
      last.await();
    }
  }

  private static void apply(KubernetesClient client) {
    var context = new PatchContext.Builder().withPatchType(PatchType.SERVER_SIDE_APPLY).withFieldManager("java").build();
    for (String value : new String[] {"one", "two"}) {
      var map = new ConfigMapBuilder().withNewMetadata().withName("applied-java").endMetadata().addToData("k", value).build();
      var got = client.configMaps().inNamespace(NAMESPACE).resource(map).patch(context);
      check(value.equals(got.getData().get("k")), got);
    }
    var resource = client.configMaps().inNamespace(NAMESPACE).withName("applied-java");
    var managers = resource.get().getMetadata().getManagedFields();
    check(managers.size() == 1 && managers.get(0).getManager().equals("java"), managers);
    resource.delete();
  }

  private static PodResource pod(KubernetesClient client) {
    return client.pods().inNamespace(NAMESPACE).withName(POD);
  }

  private static void exec(KubernetesClient client) throws Exception {
    var out = new ByteArrayOutputStream();
    var err = new ByteArrayOutputStream();
    var in = new ByteArrayInputStream("hello\n".getBytes());
    try (ExecWatch watch = pod(client).readingInput(in).writingOutput(out).writingError(err)
        .exec("sh", "-c", "read -r x; echo $x; echo err >&2; exit 3")) {
      int code = watch.exitCode().get(30, TimeUnit.SECONDS);
      check(code == 3, "exit code " + code);
    }
    check(out.toString().equals("hello\n") && err.toString().equals("err\n"), out + ", " + err);
  }

  private static void forward(KubernetesClient client) throws Exception {
    try (LocalPortForward forward = pod(client).portForward(80)) {
      var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + forward.getLocalPort() + "/")).build();
      var page = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
      check(page.contains("hello"), page);
    }
  }

  public static void main(String[] arguments) throws Exception {
    var config = Config.fromKubeconfig(new File(System.getenv("KUBECONFIG")));
    try (KubernetesClient client = new KubernetesClientBuilder().withConfig(config).build()) {
      switch (arguments[0]) {
        case "list" -> list(client);
        case "watch" -> watch(client);
        case "apply" -> apply(client);
        case "exec" -> exec(client);
        case "forward" -> forward(client);
        default -> throw new IllegalArgumentException("unknown step " + arguments[0]);
      }
    }
    System.exit(0);
  }
}
