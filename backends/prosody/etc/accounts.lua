-- Writes accounts as mod_auth_internal_hashed keeps them, all with the salt they are given: run etc/accounts.lua USERS DIR SECRET.
-- "proxy:" salts that are the same on every server, because SCRAM keys made from one are good on all.
local hashes = require "util.hashes"
local hex = require "util.hex"

local users, directory, secret = tonumber(arg[1]), arg[2], arg[3]
local ITERATIONS = 10000

for user = 1001, 1000 + users do
	local salt = "salt-of-" .. user
	local salted = hashes.pbkdf2_hmac_sha1(secret .. user, salt, ITERATIONS)
	local stored = hex.to(hashes.sha1(hashes.hmac_sha1(salted, "Client Key")))
	local server = hex.to(hashes.hmac_sha1(salted, "Server Key"))
	local file = assert(io.open(directory .. "/" .. user .. ".dat", "w"))
	file:write(("return {\n\t[\"iteration_count\"] = %d;\n\t[\"salt\"] = \"%s\";\n"):format(ITERATIONS, salt))
	file:write(("\t[\"stored_key\"] = \"%s\";\n\t[\"server_key\"] = \"%s\";\n};\n"):format(stored, server))
	file:close()
end
