// JavaScript's client on a cluster: each part prints one line of what it saw. Arguments: a namespace that has a pod `box`.
import * as k8s from '@kubernetes/client-node';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const namespace = process.argv[2];
const path = `/api/v1/namespaces/${namespace}/configmaps`;
const tell = (what, ...saw) => console.log(`${what}: ${saw.join(' ')}`);
const configmap = (name, k) => ({ metadata: { name }, data: { k } });
const next = () => { let done; const promise = new Promise((resolve) => { done = resolve; }); return [promise, done]; };

async function list() {
  await core.createNamespacedConfigMap({ namespace, body: configmap('one', '1') });
  const found = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=one' });
  tell('list', found.items.map((each) => each.data.k));
}

async function watch() {
  const { metadata } = await core.listNamespacedConfigMap({ namespace });
  const [seen, see] = next();
  const query = { resourceVersion: metadata.resourceVersion };
  const request = await new k8s.Watch(config).watch(path, query, (type, obj) => see(`${type} ${obj.metadata.name}`), () => {});
  await core.createNamespacedConfigMap({ namespace, body: configmap('two', '2') });
  tell('watch', await seen);
  request.abort();
}

async function informer() {
  const [changed, change] = next(), [gone, go] = next();
  const follow = k8s.makeInformer(config, path, () => core.listNamespacedConfigMap({ namespace }));
  follow.on('update', (obj) => change(obj.data.k));
  follow.on('delete', (obj) => go(obj.metadata.name));
  await follow.start();
  const held = follow.get('two', namespace).data.k;
  const value = [{ op: 'replace', path: '/data/k', value: '3' }];
  await core.patchNamespacedConfigMap({ namespace, name: 'two', body: value });
  await core.deleteNamespacedConfigMap({ namespace, name: 'one' });
  tell('informer', held, await changed, await gone);
  await follow.stop();
}

async function exec() {
  const [ended, end] = next(), out = new PassThrough(), given = new PassThrough();
  given.end('hello');
  const command = ['sh', '-c', 'head -c 5; exit 3'];
  await new k8s.Exec(config).exec(namespace, 'box', 'c0', command, out, null, given, false, (status) => { out.end(); end(status); });
  const status = await ended;
  tell('exec', await text(out), status.reason, status.details.causes[0].message);
}

async function log() {
  const out = new PassThrough();
  await new k8s.Log(config).log(namespace, 'box', 'c0', out, { tailLines: 1 });
  tell('log', (await text(out)).trim());
}

async function portForward() {
  const out = new PassThrough(), given = new PassThrough();
  const socket = await new k8s.PortForward(config).portForward(namespace, 'box', [8080], out, null, given);
  socket.addEventListener('close', () => out.end());
  given.write('GET /index.html HTTP/1.0\r\n\r\n');
  tell('port-forward', (await text(out)).trim().split('\n').at(-1));
}

for (const each of [list, watch, informer, exec, log, portForward]) await each();
process.exit(0);
