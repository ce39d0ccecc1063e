-- Sends admission requests to a policy server and counts its verdicts. See README.md.
--
--   wrk --latency -s validate.lua http://HOST:PORT/validate/POLICY -- REQUEST.json [REQUEST.json …]

local threads = {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

-- args holds what stands behind wrk's own arguments.
function init(args)
   bodies = {}
   for _, path in ipairs(args) do
      local file, message = io.open(path, "rb")
      if not file then
         error(message)
      end
      table.insert(bodies, file:read("*a"))
      file:close()
   end
   if #bodies == 0 then
      error("name the files with AdmissionReviews behind --")
   end
   local formatted = {}
   for index, body in ipairs(bodies) do
      formatted[index] = wrk.format("POST", nil, {
         ["Host"] = wrk.headers["Host"],
         ["Content-Type"] = "application/json",
         ["Accept"] = "application/json",
      }, body)
   end
   bodies = formatted
   -- Threads begin at different requests, so that they do not send the large ones at the same time.
   turn = number
   allowed, mutated, rejected, failed = 0, 0, 0, 0
end

function request()
   turn = turn + 1
   return bodies[turn % #bodies + 1]
end

function response(status, headers, body)
   if status ~= 200 then
      failed = failed + 1
   elseif body:find('"allowed":true', 1, true) then
      allowed = allowed + 1
      if body:find('"patchType":"JSONPatch"', 1, true) then
         mutated = mutated + 1
      end
   else
      rejected = rejected + 1
      -- One reason is enough to see what is wrong.
      reason = reason or body:match('"message":"(.-[^\\])"') or body
   end
end

function done(summary, latency, requests)
   local function total(name)
      local sum = 0
      for _, thread in ipairs(threads) do
         sum = sum + thread:get(name)
      end
      return sum
   end
   io.write(string.format(
      "Verdicts: %d allowed (%d with a patch), %d rejected, %d without an answer of status 200\n",
      total("allowed"), total("mutated"), total("rejected"), total("failed")
   ))
   for _, thread in ipairs(threads) do
      local reason = thread:get("reason")
      if reason then
         io.write("The first rejection: ", reason, "\n")
         break
      end
   end
   local seconds = summary.duration / 1e6
   io.write(string.format(
      "Pods a second: %.0f; latency p50 %.2f ms, p99 %.2f ms\n",
      summary.requests / seconds, latency:percentile(50) / 1000, latency:percentile(99) / 1000
   ))
end
