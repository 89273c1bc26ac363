"""scripts/cluster, in parts. Standard library only: it runs before there is any environment.

Imports go one way: errors <- state, processes <- distribution, configuration, daemons, probes
<- lifecycle, logs <- commands.
"""
