// What the console's modules find in a browser, as far as those tested here ask for it.

import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;
globalThis.document ??= { baseURI: 'http://console.test/', hidden: false };
globalThis.sessionStorage ??= { getItem: () => null, setItem() {}, removeItem() {} };
