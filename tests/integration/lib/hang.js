'use strict';
// Preloaded into the example worker: its handler says that it is under way and then never comes back.
if (process.env.HANG) {
  const { Module } = require('node:module');
  const load = Module.prototype._compile;
  Module.prototype._compile = function (text, name) {
    const hung = text.replace('return { address, country', 'await new Promise(() => {}); return { address, country');
    return load.call(this, name.endsWith('worker.js') ? hung : text, name);
  };
}
