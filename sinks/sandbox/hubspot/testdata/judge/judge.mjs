// Judges a simulation of HubSpot with HubSpot's own client: each step does what a user of
// the client would and looks at what the client makes of the answers. It prints a line of
// JSON for each step; judge_test.go runs it and wants all of them to be well.
//
//   node judge.mjs DIRECTORY-OF-NODE_MODULES BASE-ADDRESS
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [modules, basePath] = process.argv.slice(2)
const { Client } = createRequire(join(modules, 'package.json'))('@hubspot/api-client')
const hubspot = new Client({ accessToken: 'private', basePath, numberOfApiCallRetries: 3 })
const { deals, contacts } = hubspot.crm

async function step(name, does) {
  try {
    await does()
    console.log(JSON.stringify({ step: name }))
  } catch (e) {
    console.log(JSON.stringify({ step: name, wrong: String(e && e.stack || e) }))
  }
}

// refused gives the error of a call that must not succeed.
async function refused(call) {
  try {
    await call
  } catch (e) {
    assert.equal(typeof e.code, 'number', `not an answer: ${e}`)
    return e
  }
  assert.fail('it was not refused')
}

const traced = (id, properties) => ({ id, idProperty: 'wb_key', objectWriteTraceId: `trace-${id}`, properties })
const ids = {}

await step('batch upsert creates', async () => {
  const keys = ['a', 'b', 'c']
  const answer = await deals.batchApi.upsert({ inputs: keys.map((k) => traced(k, { dealname: `Deal ${k}`, amount: '10.50' })) })
  assert.equal(answer.status, 'COMPLETE')
  assert.equal(answer.results.length, 3)
  for (const r of answer.results) {
    assert.equal(r._new, true)
    assert.ok(r.createdAt instanceof Date && !Number.isNaN(r.createdAt.getTime()))
    ids[r.objectWriteTraceId.slice('trace-'.length)] = r.id
  }
  assert.deepEqual(Object.keys(ids).sort(), keys)
  assert.notDeepEqual(answer.results.map((r) => r.objectWriteTraceId), keys.map((k) => `trace-${k}`))
})

await step('batch upsert updates', async () => {
  const answer = await deals.batchApi.upsert({ inputs: [traced('a', { amount: '11' })] })
  assert.equal(answer.results[0]._new, false)
  assert.equal(answer.results[0].id, ids.a)
  assert.equal(answer.results[0].properties.amount, '11')
})

await step('207 tells which inputs are wrong', async () => {
  const answer = await deals.batchApi.upsert({
    inputs: [traced('a', { amount: 'much' }), traced('b', { amount: '12' }), traced('c', { colour: 'red' })],
  })
  assert.deepEqual(answer.results.map((r) => r.id), [ids.b])
  assert.equal(answer.numErrors, 2)
  const byTrace = Object.fromEntries(answer.errors.map((e) => [e.context.objectWriteTraceId[0], e]))
  assert.deepEqual(Object.keys(byTrace).sort(), ['trace-a', 'trace-c'])
  assert.equal(byTrace['trace-c'].category, 'VALIDATION_ERROR')
  assert.equal(byTrace['trace-c'].errors[0].code, 'PROPERTY_DOESNT_EXIST')
  assert.deepEqual(byTrace['trace-c'].errors[0].context.propertyName, ['colour'])
})

await step('one wrong input without a trace id refuses all', async () => {
  const e = await refused(deals.batchApi.upsert({
    inputs: [
      { id: 'a', idProperty: 'wb_key', properties: { dealname: 'not kept' } },
      { id: 'd', idProperty: 'wb_key', properties: { dealname: 'D', dealstage: 'nowhere' } },
    ],
  }))
  assert.equal(e.code, 400)
  assert.equal(e.body.category, 'VALIDATION_ERROR')
  assert.match(e.body.message, /INVALID_OPTION/)
  const a = await deals.basicApi.getById(ids.a, ['dealname'])
  assert.equal(a.properties.dealname, 'Deal a')
})

await step('two inputs for one record are refused', async () => {
  const e = await refused(deals.batchApi.upsert({ inputs: [traced('x', { dealname: '1' }), { ...traced('x', { dealname: '2' }), objectWriteTraceId: 'other' }] }))
  assert.equal(e.code, 400)
  assert.match(e.body.message, /Duplicate IDs found in batch input/)
})

await step('a property that is not unique names no record', async () => {
  const e = await refused(deals.batchApi.upsert({ inputs: [{ ...traced('x', {}), idProperty: 'dealname' }] }))
  assert.match(e.body.message, /non-unique 0-3 property dealname/)
})

await step('batch read by key and by id', async () => {
  const byKey = await deals.batchApi.read({ idProperty: 'wb_key', properties: ['wb_key', 'amount'], propertiesWithHistory: [], inputs: [{ id: 'a' }, { id: 'b' }] })
  assert.deepEqual(byKey.results.map((r) => r.properties.wb_key).sort(), ['a', 'b'])
  const some = await deals.batchApi.read({ properties: ['amount'], propertiesWithHistory: [], inputs: [{ id: ids.a }, { id: '99999' }] })
  assert.deepEqual(some.results.map((r) => r.id), [ids.a])
  assert.equal(some.errors[0].category, 'OBJECT_NOT_FOUND')
})

await step('batch update, and an empty text clears', async () => {
  const answer = await deals.batchApi.update({ inputs: [{ id: ids.a, properties: { amount: '', closedate: '1769850000500' } }, { id: 'b', idProperty: 'wb_key', properties: { description: 'B' } }] })
  assert.equal(answer.results.length, 2)
  const a = await deals.basicApi.getById(ids.a, ['amount', 'closedate'])
  assert.equal(a.properties.amount, null)
  assert.equal(a.properties.closedate, '2026-01-31T09:00:00.500Z')
})

await step('batch create with associations', async () => {
  const ada = await contacts.basicApi.create({ properties: { email: 'Ada@Example.com', firstname: 'Ada' }, associations: [] })
  assert.equal(ada.properties.email, 'ada@example.com')
  ids.ada = ada.id
  const answer = await deals.batchApi.create({
    inputs: [{ properties: { dealname: 'With Ada' }, associations: [{ to: { id: ada.id }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: 3 }] }] }],
  })
  ids.withAda = answer.results[0].id
  const linked = await hubspot.crm.associations.v4.basicApi.getPage('deals', ids.withAda, 'contacts')
  assert.deepEqual(linked.results.map((r) => String(r.toObjectId)), [ada.id])
})

await step('an email address of another contact is a conflict', async () => {
  const e = await refused(contacts.basicApi.create({ properties: { email: 'ADA@example.com' }, associations: [] }))
  assert.equal(e.code, 409)
  assert.equal(e.body.category, 'CONFLICT')
  assert.match(e.body.message, new RegExp(`Existing ID: ${ids.ada}`))
})

await step('single update, list and search', async () => {
  const updated = await contacts.basicApi.update('ada@example.com', { properties: { wb_vip: 'true', wb_key: 'ada' } }, 'email')
  assert.equal(updated.id, ids.ada)
  const page = await deals.basicApi.getPage(2)
  assert.equal(page.results.length, 2)
  const rest = await deals.basicApi.getPage(100, page.paging.next.after)
  assert.equal(rest.results.length, 2)
  const all = await deals.getAll()
  assert.equal(all.length, 4)
  const found = await contacts.searchApi.doSearch({ filterGroups: [{ filters: [{ propertyName: 'wb_key', operator: 'EQ', value: 'ada' }] }], properties: ['email'], limit: 10 })
  assert.equal(found.total, 1)
  assert.equal(found.results[0].id, ids.ada)
})

await step('associations in batches', async () => {
  const { batchApi } = hubspot.crm.associations.v4
  const from = { id: ids.a }, to = { id: ids.ada }
  const made = await batchApi.create('deals', 'contacts', { inputs: [{ _from: from, to, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: 3 }] }] })
  assert.equal(made.status, 'COMPLETE')
  assert.equal(made.results[0].fromObjectId, ids.a)
  const byDefault = await batchApi.createDefault('deals', 'contacts', { inputs: [{ _from: { id: ids.b }, to }] })
  assert.ok(byDefault.results.some((r) => r._from.id === ids.b && r.associationSpec.associationTypeId === 3))
  const read = await batchApi.getPage('deals', 'contacts', { inputs: [{ id: ids.a }, { id: ids.b }, { id: ids.c }] })
  assert.deepEqual(read.results.map((r) => r._from.id).sort(), [ids.a, ids.b].sort())
  assert.equal(read.results[0].to[0].associationTypes[0].typeId, 3)
  await batchApi.archive('deals', 'contacts', { inputs: [{ _from: from, to: [to] }] })
  const left = await hubspot.crm.associations.v4.basicApi.getPage('contacts', ids.ada, 'deals')
  assert.deepEqual(left.results.map((r) => String(r.toObjectId)).sort(), [ids.b, ids.withAda].sort())
})

await step('archive, and its key stays in the way', async () => {
  await deals.batchApi.archive({ inputs: [{ id: ids.a }, { id: ids.b }] })
  await deals.basicApi.archive(ids.c)
  const e = await refused(deals.basicApi.getById(ids.a))
  assert.equal(e.code, 404)
  const again = await deals.batchApi.upsert({ inputs: [traced('a', { dealname: 'again' })] })
  assert.equal(again.results.length, 0)
  assert.deepEqual(again.errors[0].context.objectWriteTraceId, ['trace-a'])
})

await step('properties, owners and pipelines', async () => {
  const list = await hubspot.crm.properties.coreApi.getAll('deals')
  const key = list.results.find((p) => p.name === 'wb_key')
  assert.equal(key.hasUniqueValue, true)
  assert.equal(list.results.find((p) => p.name === 'createdate').modificationMetadata.readOnlyValue, true)
  const stage = await hubspot.crm.properties.coreApi.getByName('deals', 'dealstage')
  const pipelines = await hubspot.crm.pipelines.pipelinesApi.getAll('deals')
  assert.deepEqual(stage.options.map((o) => o.value), pipelines.results[0].stages.map((s) => s.id))
  const owners = await hubspot.crm.owners.ownersApi.getPage('ada@example.com')
  assert.equal(owners.results.length, 1)
})

await step('dated paths', async () => {
  const answer = await hubspot.apiRequest({ method: 'POST', path: '/crm/objects/2026-03/companies/batch/upsert', body: { inputs: [traced('acme', { name: 'Acme' })] } })
  assert.equal(answer.status, 200)
  assert.equal((await answer.json()).results[0].new, true)
  assert.ok(Number(answer.headers.get('x-hubspot-ratelimit-remaining')) > 0)
})

await step('a search above the limit is waited out by the client', async () => {
  const searches = []
  for (let i = 0; i < 6; i++) searches.push(contacts.searchApi.doSearch({ limit: 1 }))
  assert.deepEqual((await Promise.all(searches)).map((a) => a.total), Array(6).fill(1))
})

await step('a token that is not known', async () => {
  const stranger = new Client({ accessToken: 'other', basePath })
  const e = await refused(stranger.crm.deals.basicApi.getPage())
  assert.equal(e.code, 401)
})

await step('a refresh token gives an access token', async () => {
  const { tokensApi } = hubspot.oauth
  const grant = await tokensApi.create('refresh_token', undefined, undefined, 'client', 'hush', 'refresh')
  assert.equal(grant.refreshToken, 'refresh')
  assert.equal(grant.expiresIn, 1800)
  const app = new Client({ accessToken: grant.accessToken, basePath })
  assert.equal((await app.crm.deals.basicApi.getPage()).results.length, 1)
  const e = await refused(tokensApi.create('refresh_token', undefined, undefined, 'client', 'hush', 'stale'))
  assert.equal(e.code, 400)
})
