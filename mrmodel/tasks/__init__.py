"""What runs on the nodes: read, prepare, predict, write. Imports neither click nor boto3."""
