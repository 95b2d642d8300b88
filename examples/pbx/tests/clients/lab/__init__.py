"""What the cases stand on: child processes, a small SIP client, drivers for real clients and attackers."""
