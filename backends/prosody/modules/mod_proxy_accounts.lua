-- Lets the accounts of `proxy_accounts` log in as any user of their host: PLAIN with an authorization identity (RFC 4616
-- section 2). Prosody 0.12 alone passes the authorization identity over.
--
--   modules_enabled = { ..., "proxy_accounts" }
--   proxy_accounts = { "proxy" }         -- whoever knows such a password can be anybody

local sasl = require "util.sasl";
local jid_split = require "util.jid".prepped_split;
local user_exists = require "core.usermanager".user_exists;

local accounts = module:get_option_set("proxy_accounts", {});
local host = module.host;
local log = module._log;

-- One for all hosts, as mechanisms are; each module adds its own.
local allowed = module:shared("/*/proxy_accounts/allowed");
allowed[host] = accounts;

local plain;
require "util.sasl.plain".init(function (_, _, mechanism) plain = mechanism; end);

local function plain_for_another(self, message)
	local status, condition, text = plain(self, message);
	local authzid = message and message:match("^([^%z]+)%z");
	if status ~= "success" or not authzid then
		return status, condition, text;
	end
	local user, domain = jid_split(authzid);
	if user == self.username and domain == self.realm then
		return status;
	end
	local mine = allowed[self.realm];
	if not user or domain ~= self.realm or not mine or not mine:contains(self.username) or not user_exists(user, domain) then
		return "failure", "invalid-authzid";
	end
	log("debug", "%s logs in as %s", self.username, user);
	self.username = user;
	return "success";
end

sasl.registerMechanism("PLAIN", { "plain", "plain_test" }, plain_for_another);

function module.unload()
	allowed[host] = nil;
end
