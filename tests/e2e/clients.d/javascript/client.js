// @kubernetes/client-node against a cluster: client.js STEP, with POD and NAMESPACE in the environment (see tests/e2e/clients).
import assert from 'node:assert/strict';
import net from 'node:net';
import { PassThrough } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const { NAMESPACE: namespace, POD: pod } = process.env;
const config = new k8s.KubeConfig();
config.loadFromFile(process.env.KUBECONFIG);
const api = config.makeApiClient(k8s.CoreV1Api);

async function list() {
  assert.equal((await api.listNode({ limit: 1 })).items.length, 1);
  const pods = await api.listNamespacedPod({ namespace, labelSelector: 'app=web' });
  assert(pods.items.some((p) => p.metadata.name === pod), 'the pod is not listed');
}

// Says each object that the informer shows, until the one called "last". An informer of this library stops at an error and
// is started again by its user.
async function watch() {
  const labelSelector = 'clients=watch';
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`,
    () => api.listNamespacedConfigMap({ namespace, labelSelector }), labelSelector);
  await new Promise((resolve) => {
    informer.on('add', (map) => {
      console.log('seen', map.metadata.name);
      if (map.metadata.name === 'last') resolve();
    });
    informer.on('error', (error) => {
      console.error(String(error));
      setTimeout(start, 200);
    });
    const start = () => informer.start().catch((error) => {
      console.error(String(error));
      setTimeout(start, 200);
    });
    start();
  });
  process.exit(0);
}

async function apply() {
  const name = 'applied-javascript';
  for (const value of ['one', 'two']) {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { k: value } };
    const got = await api.patchNamespacedConfigMap({ namespace, name, body, fieldManager: 'javascript' },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.ServerSideApply));
    assert.equal(got.data.k, value);
  }
  const got = await api.readNamespacedConfigMap({ namespace, name });
  assert.deepEqual(got.metadata.managedFields.map((m) => m.manager), ['javascript']);
  await api.deleteNamespacedConfigMap({ namespace, name });
}

function collect(stream) {
  const parts = [];
  stream.on('data', (part) => parts.push(part));
  return () => Buffer.concat(parts).toString();
}

async function exec() {
  const out = new PassThrough(), err = new PassThrough(), stdin = new PassThrough();
  const text = [collect(out), collect(err)];
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec(namespace, pod, '', ['sh', '-c', 'read -r x; echo $x; echo err >&2; exit 3'], out, err, stdin, false, resolve)
      .catch(reject);
    stdin.write('hello\n');
  });
  assert.deepEqual(text.map((t) => t()), ['hello\n', 'err\n']);
  assert.equal(status.details.causes.find((c) => c.reason === 'ExitCode').message, '3');
}

async function forward() {
  const forwarder = new k8s.PortForward(config);
  const server = net.createServer((socket) => forwarder.portForward(namespace, pod, [80], socket, null, socket));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const page = await (await fetch(`http://127.0.0.1:${server.address().port}/`)).text();
  assert(page.includes('hello'), page);
}

const steps = { list, watch, apply, exec, forward };
await steps[process.argv[2]]();
process.exit(0);
