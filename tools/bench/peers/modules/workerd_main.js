// Serves one module over HTTP in workerd: the function that the path's last part names is given the body.
import module from './module.cjs';

export default {
  async fetch(request) {
    const name = request.url.slice(request.url.lastIndexOf('/') + 1);
    return new Response(JSON.stringify(await module[name](await request.json())));
  },
};
