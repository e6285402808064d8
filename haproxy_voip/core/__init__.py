"""What everything else speaks in: events, effects, facts, machines, addresses, deadlines and chance."""
